"""A trace on a terminal. Every text is printable; what is long in JSON is cut here and says so."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from realsyn_ops.report import wording
from realsyn_ops.report.render_text import print_line, print_table
from realsyn_ops.report.wording import printable

Facts = dict[str, Any]
_SHOWN = 5


def print_trace(facts: Facts, console: Console) -> None:
    """The record, then where it stands, what each step said, its pair, its releases and the plans behind them."""
    facts = printable(facts)
    {"image": _print_image, "sentence": _print_sentence, "sample": _print_sample}.get(facts["kind"], _print_refused)(
        facts, console
    )
    print_table(console, "Plans", ("Dag", "day", "plan", "code", "inputs", "preset"), _plans(facts))


def _print_image(facts: Facts, console: Console) -> None:
    _head(console, f"image {facts['key']}")
    if image := facts["image"]:
        size = (
            f"{image['format']}, {image['width']} x {image['height']} px, {wording.count(image.get('n_bytes'))} bytes"
        )
        _line(console, "bytes", f"{size}, sha256 {image.get('sha256')}")
    else:
        _line(console, "bytes", "not in the corpus any more")
    _print_places(facts, console)
    _print_steps(facts, console)
    if pair := facts.get("pair"):
        _print_pair(pair["texts"], pair | pair["synthetic"], console)
    _print_releases(facts.get("releases", ()), console)


def _print_sentence(facts: Facts, console: Console) -> None:
    _head(console, f"sentence {facts['key']}")
    _line(console, "text", facts["text"] or "not in the corpus any more")
    if measured := facts["measured_by"]:
        _line(console, "measured", f"by parser {measured['parsed_by']}, language model {measured['scored_by']}")
    _print_places(facts, console)
    _print_steps(facts, console)
    uses = [(use["key"], f"text {use['rank']}", wording.number(use["similarity"])) for use in facts["pairs"]["uses"]]
    n_uses = facts["pairs"]["n_uses"]
    print_table(console, f"A text of {wording.plural(n_uses, 'pair')} in force", ("image", "as", "similarity>"),
                uses[:_SHOWN])  # fmt: skip
    _print_releases(facts["releases"], console)


def _print_sample(facts: Facts, console: Console) -> None:
    sample = facts["sample"]
    _head(console, f"sample {sample['name']}")
    _line(console, "url", sample["row"]["raw_image_url"])
    _line(console, "models", ", ".join(f"{kind} {name}" for kind, name in sample["models"].items()))
    if sample["revoked"]:
        _line(console, "REVOKED", f"{sample['revoked']['revoked']}: {sample['revoked']['reason']}", style="bold red")
    _print_image(facts["image"] | {"pair": None}, console)
    _print_pair(facts["texts"], facts["synthetic"], console)
    if "model" not in facts["synthetic"]:
        _line(console, "since then", "the pair has been made anew: its answer is not looked for")


def _print_refused(facts: Facts, console: Console) -> None:
    for row in facts["rejects"]:
        _head(console, f"{facts['kind']} {facts['key']} of {row['day']}")
        shown = {name: value for name, value in row.items() if value not in {None, ""} and name not in {"key", "day"}}
        if meaning := wording.reason_meaning(row.get("reason") or ""):
            shown["means"] = meaning
        for name, value in shown.items():
            _line(console, name, wording.number(value))


def _print_places(facts: Facts, console: Console) -> None:
    n, places = facts["n_places"], facts["places"]
    console.print()
    _head(console, f"Stands in {wording.plural(n, 'place')}" if n else "Stands in no document of the corpus")
    for place in places[:_SHOWN]:
        where = "#".join(part.removeprefix("#") for part in (place["file"], place["record"]) if part)
        position = f", sentence {place['position']}" if "position" in place else ""
        _line(console, place["day"], f"{where} node {place['node']}{position}")
        _line(console, "document", " ".join(part for part in (place["document"], place["url"], place["title"]) if part))
        if place.get("src"):
            about = [f'{name} "{place[name]}"' for name in ("alt", "caption") if place[name]]
            _line(console, "src", " ".join([place["src"], *about]))
        if fetched := place.get("fetched"):
            _line(console, "fetched", " ".join(f"{name}={value}" for name, value in fetched.items() if value))
    if n > _SHOWN:
        _line(console, "", f"and {n - _SHOWN:,} more (--json)")


def _print_steps(facts: Facts, console: Console) -> None:
    rows = []
    for step in facts["steps"]:
        name = " ".join(part for part in (step["stage"], step["part"]) if part)
        for i, score in enumerate(step["scores"]):
            limits = ", ".join(f"{limit} {wording.number(value)}" for limit, value in score["limits"].items())
            value = wording.number(score["value"]) or "not measured"
            verdict = "" if i else _verdict(step)
            rows.append((name if not i else "", step["day"] if not i else "", verdict, score["score"], value, limits))
    print_table(console, "What each step said", ("step", "day", "verdict", "score", "value>", "limit"), rows)
    for step in facts["steps"]:
        if "cluster" in step:
            near = step.get("centroid_similarity")
            more = f", similarity to its centroid {wording.number(near)}" if near is not None else ""
            more += f", codebook {step['codebook']}" if step.get("codebook") else ""
            _line(console, "cluster", f"of {step['stage']} {step['part']}: {step['cluster']}{more}")
        if step.get("n_members", 1) > 1:
            others = [f"{one['key']} ({_kept(one['reason'])})" for one in step["members"]]
            more = ", ..." if len(others) > _SHOWN else ""
            _line(console, "group", f"of {step['n_members']:,}: {', '.join(others[:_SHOWN])}{more}")
        if "search" in step:
            told = [f"{name} {_plain(value)}" for name, value in step["search"].items() if value is not None]
            _line(console, "search", ", ".join(told))


def _print_pair(texts: list[Facts], pair: Facts, console: Console) -> None:
    console.print()
    _head(console, "The pair's texts")
    for text in texts:
        _line(console, f"text {text['rank']}", f"{wording.number(text['similarity'])}  {text['text']}")
        _line(console, "", text["key"] + "".join(f"; {_first_place(text['places'])}" for _ in text["places"][:1]))
        measured = [score for step in text["steps"] for score in step["scores"] if score["value"] is not None]
        scores = [f"{score['score']} {wording.number(score['value'])}" for score in measured]
        _line(console, "", ", ".join(scores))
    _line(console, "synthetic", f"{wording.number(pair.get('syn_similarity'))}  {pair.get('syn_text') or 'none'}")
    made = [f"by {pair.get('syn_origin')}" if pair.get("syn_origin") else "", pair.get("syn_reason") or ""]
    made += [f"model {pair['model']}"] if pair.get("model") else []
    made += [f"prompt {pair['prompt']}"] if pair.get("prompt") else []
    made += [f"answer {answer['key']} of {answer['model']}" for answer in pair.get("answers", ())]
    _line(console, "made", ", ".join(part for part in made if part))
    _line(console, "caption", pair.get("caption") or "none")
    _line(console, "tags", ", ".join(pair.get("tags") or ()) or "none")
    if pair.get("made_by"):
        _line(console, "made with", pair["made_by"] + "".join(f", {k} {name}" for k, name in pair["models"].items()))


def _print_releases(found: Iterable[Facts], console: Console) -> None:
    rows = []
    for release in found:
        status = f"REVOKED {release['revoked']['revoked']}" if release["revoked"] else "published"
        uses = release.get("uses") or [release]
        more = f" and {release['n_uses'] - 1:,} more" if release.get("n_uses", 1) > 1 else ""
        rows.append((release["version"], release["published"], status, uses[0]["sample"] + more))
    print_table(console, "Releases that have it", ("version", "published", "status", "sample"), rows)


def _plans(facts: Facts) -> list[tuple[str, ...]]:
    """Every plan that any part of the trace names, once."""
    found: dict[tuple[str, str, str], Facts] = {}

    def collect(value: object) -> None:
        if isinstance(value, dict):
            if isinstance(plan := value.get("plan"), dict):
                found[plan["dag"], plan["day"], plan["digest"]] = plan
            for part in value.values():
                collect(part)
        elif isinstance(value, list):
            for part in value:
                collect(part)

    collect(facts)
    names = ("dag", "day", "digest", "code", "inputs", "preset")
    return [tuple(str(plan[name] or "") for name in names) for _, plan in sorted(found.items())]


def _first_place(places: list[Facts]) -> str:
    place = places[0]
    where = "#".join(part.removeprefix("#") for part in (place["file"], place["record"]) if part)
    return f"{where} node {place['node']} {place['url']}".rstrip()


def _verdict(step: Facts) -> Text:
    if not step["reason"]:
        return Text("kept", style="green")
    limit = f" ({step['limit']} {_plain(step['threshold'])})" if step["limit"] else ""
    value = f" {wording.number(step['value'])}" if step.get("value") is not None else ""
    return Text(f"refused: {step['reason']}{value}{limit}", style="red")


def _kept(reason: str | None) -> str:
    return reason or "survives"


def _plain(value: object) -> str:
    return str(value) if isinstance(value, bool | list) else wording.number(value)


def _head(console: Console, text: str) -> None:
    print_line(console, Text(text, style="bold"))


def _line(console: Console, name: str, value: str, *, style: str = "") -> None:
    print_line(console, Text(f"  {name:<11}", style="dim").append(value, style=style or "not dim"))
