"""The report on a terminal. Where the console is no terminal it is plain: no colour, no rules, one row a line."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from realsyn_ops.report import wording
from realsyn_ops.report.figures import STREAMS, Figures, Step, read_figures


def render_text(report: Mapping[str, Any], *, console: Console) -> None:
    """Print the whole report; nothing in it is read as markup or as a terminal's control sequence."""
    figures = read_figures(report)
    _print_head(figures, console)
    for stream in STREAMS:
        if steps := figures.funnel[stream]:
            print_table(console, stream.capitalize(), *_funnel_table(steps))
    print_table(console, "Rejects by reason", *_rejects_table(figures))
    print_table(console, "Images fetched", *_hosts_table(figures))
    print_table(console, "Balance", ("", ">"), _facts(_selection(figures)))
    print_table(console, "Scales", ("pairs>", "cap>", "first shards>"), _scale_rows(figures))
    print_table(console, "Other similarity bounds", ("quantiles", "bounds", "pairs>"), _bound_rows(figures))
    print_table(console, "Synthetic texts", ("made by", "texts>"), _synthesis_rows(figures))
    print_table(console, "Answers paid for", *_answers_table(figures))
    print_table(console, "Refused and asked again", ("model", "reason", "answers>"), _refused_rows(figures))
    print_table(console, "Stages", *_stage_table(figures))
    print_table(console, "Cost for 1,000 accepted pairs", *_day_table(figures))
    print_table(console, "Gates", *_gate_table(figures))
    for title, facts in (("Models", figures.models), ("Codebook", figures.codebook), ("Retrieval", figures.retrieval)):
        print_table(console, title, ("", ""), _facts(facts))


def _print_head(figures: Figures, console: Console) -> None:
    head = Text("RealSyn release ", style="bold")
    head.append(figures.version or "(none yet)", style="bold cyan")
    print_line(console, head)
    if figures.revoked:
        print_line(console, Text(f"REVOKED, do not use it: {figures.revoked}", style="bold red"))
    facts = (
        ("pairs", wording.count(figures.n_pairs)),
        ("preset", figures.preset),
        ("days", ", ".join(figures.days)),
        ("path", figures.path),
        ("uri", figures.uri),
    )
    for name, value in facts:
        if value:
            print_line(console, Text(f"{name:<8}", style="dim").append(value, style="not dim"))


def print_line(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True, highlight=False)


def print_table(console: Console, title: str, columns: Sequence[str], rows: Iterable[Iterable[str | Text]]) -> None:
    """A heading and a table; a column whose name ends in ``>`` is aligned right. Nothing where there are no rows."""
    cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    if not cells:
        return
    console.print()
    console.print(Text(title, style="bold"))
    if console.is_terminal:
        console.print(_ruled(columns, cells), highlight=False)
    else:
        _print_plain(console, columns, cells)


def _ruled(columns: Sequence[str], rows: list[list[Text]]) -> Table:
    has_header = any(name.strip(">") for name in columns)
    table = Table(box=box.SIMPLE_HEAD, show_header=has_header, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        is_number = name.endswith(">")
        table.add_column(
            Text(name.removesuffix(">")), justify="right" if is_number else "left", no_wrap=is_number, overflow="fold"
        )
    for row in rows:
        table.add_row(*row)
    return table


def _print_plain(console: Console, columns: Sequence[str], rows: list[list[Text]]) -> None:
    header = [Text(name.removesuffix(">")) for name in columns]
    lines = [header, *rows] if any(header) else rows
    widths = [max(line[column].cell_len for line in lines) for column in range(len(columns))]
    for line in lines:
        for cell, name, width in zip(line, columns, widths, strict=True):
            cell.align("right" if name.endswith(">") else "left", width)
        console.print(Text("  ").join(line).plain.rstrip(), soft_wrap=True, highlight=False, markup=False, emoji=False)


_Table = tuple[tuple[str, ...], list[tuple[str | Text, ...]]]


def _funnel_table(steps: tuple[Step, ...]) -> _Table:
    rows: list[tuple[str | Text, ...]] = [
        (
            step.name,
            wording.count(step.n_in),
            wording.count(step.n_kept),
            wording.count(step.n_rejected),
            Text(wording.drop(step.drop), style="bold"),
            Text(wording.drop(step.paper_drop), style="dim"),
        )
        for step in steps
    ]
    return ("step", "in>", "kept>", "rejected>", "share>", "paper>"), rows


def _rejects_table(figures: Figures) -> _Table:
    rows: list[tuple[str | Text, ...]] = []
    for stream in STREAMS:
        for step in figures.funnel[stream]:
            for reason, n in step.rejects:
                meaning = Text(wording.reason_meaning(reason), style="dim")
                rows.append((stream, step.name, wording.reason_name(reason), wording.count(n), meaning))
            if step.n_unaccounted and step.n_in >= step.n_kept:
                rows.append((stream, step.name, Text("no reason", style="red"), wording.count(step.n_unaccounted), ""))
    return ("of", "step", "reason", "records>", ""), rows


def _hosts_table(figures: Figures) -> _Table:
    rows: list[tuple[str | Text, ...]] = [
        (
            host.name,
            wording.count(host.n_urls),
            wording.count(host.n_images),
            Text(wording.percent(host.share), style="bold"),
            wording.megabytes(host.n_bytes),
            Text(", ".join(f"{wording.reason_name(reason)} {wording.count(n)}" for reason, n in host.rejects)),
        )
        for host in figures.hosts
    ]
    return ("host", "URLs>", "images>", "share>", "bytes>", "refused"), rows


def _selection(figures: Figures) -> tuple[tuple[str, object], ...]:
    chosen = figures.selection
    bounds = [wording.number(bound) for bound in (chosen.lower, chosen.upper) if bound is not None]
    facts = (
        ("similarity bounds", " to ".join(bounds) or None),
        ("candidates", chosen.n_candidates),
        ("selected", chosen.n_selected),
        ("clusters", chosen.n_clusters),
        ("cap", chosen.cap),
        ("largest cluster before", max(chosen.sizes_before, default=None)),
        ("largest cluster after", max(chosen.sizes_after, default=None)),
    )
    return tuple(fact for fact in facts if fact[1] is not None)


def _scale_rows(figures: Figures) -> list[tuple[str, ...]]:
    return [tuple(wording.count(s[name]) for name in ("size", "cap", "n_shards")) for s in figures.selection.scales]


def _bound_rows(figures: Figures) -> list[tuple[str, str, str]]:
    return [
        (
            " to ".join(f"{quantile:g}" for quantile in other["quantiles"]),
            f"{wording.number(other['lower'])} to {wording.number(other['upper'])}",
            wording.count(other["n_within"]),
        )
        for other in figures.selection.what_if
    ]


def _synthesis_rows(figures: Figures) -> list[tuple[str, str]]:
    rows = [(origin, wording.count(n)) for origin, n in figures.synthesis.items()]
    return rows + [(f"  fallback: {wording.reason_name(reason)}", wording.count(n)) for reason, n in figures.fallbacks]


def _answers_table(figures: Figures) -> _Table:
    rows: list[tuple[str | Text, ...]] = [
        (
            cost.model,
            wording.count(cost.n_answers),
            wording.percent(cost.n_accepted / cost.n_answers if cost.n_answers else None),
            wording.count(cost.n_again),
            wording.count(cost.n_accepted_again),
            wording.number(cost.for_1000(cost.n_prompt_tokens + cost.n_answer_tokens)),
            wording.seconds(cost.for_1000(cost.seconds)),
            wording.megabytes(round(cost.for_1000(cost.n_bytes) or 0)),
        )
        for cost in figures.model_costs
    ]
    for_1000 = ("tokens for 1,000 accepted>", "waiting for 1,000>", "bytes for 1,000>")
    return ("model", "answers>", "accepted>", "asked again>", "accepted then>", *for_1000), rows


def _refused_rows(figures: Figures) -> list[tuple[str, str, str]]:
    return [
        (cost.model, wording.reason_name(reason), wording.count(n))
        for cost in figures.model_costs
        for reason, n in cost.refused
    ]


def _stage_table(figures: Figures) -> _Table:
    rows: list[tuple[str | Text, ...]] = [
        (
            Text(f"{cost.dag} ", style="dim").append(cost.stage, style="not dim"),
            wording.count(cost.tasks),
            wording.seconds(cost.seconds),
            wording.seconds(cost.cpu_seconds),
            wording.megabytes(cost.peak_rss_bytes),
        )
        for cost in figures.stages
    ]
    return ("stage", "tasks>", "wall>", "CPU>", "peak memory>"), rows


def _day_table(figures: Figures) -> _Table:
    rows: list[tuple[str | Text, ...]] = [
        (
            cost.day,
            wording.count(cost.n_pairs),
            wording.seconds(cost.for_1000(cost.cpu_seconds)),
            wording.megabytes(round(cost.for_1000(cost.n_bytes))),
            wording.count(round(cost.for_1000(cost.n_calls))),
            wording.count(round(cost.for_1000(cost.n_tokens))),
        )
        for cost in figures.day_costs
    ]
    return ("day", "pairs>", "CPU>", "staged>", "calls>", "tokens>"), rows


def _gate_table(figures: Figures) -> _Table:
    rows: list[tuple[str | Text, ...]] = []
    for gate in figures.gates:
        result = Text("passed", style="green") if gate.is_passed else Text("FAILED", style="bold red")
        if gate.accepted:
            result = Text("accepted", style="yellow")
        told = "; ".join([*filter(None, [gate.accepted]), *gate.failures, *(f"warning: {w}" for w in gate.warnings)])
        rows.append((result, gate.name, gate.day, wording.count(gate.n_expectations), told))
    return ("result", "gate", "day", "expectations>", "failures"), rows


def _facts(facts: Iterable[tuple[str, object]]) -> list[tuple[str, str]]:
    return [(wording.reason_name(name.removeprefix("n_")), wording.number(value)) for name, value in facts]
