"""The scores as one SVG: a panel a set, a row an arm, a point for each seed, and the mean with its interval."""

from collections.abc import Mapping
from html import escape
from typing import Any

_SHOWN = {"classification": ("acc1",), "retrieval": ("image_retrieval_recall@5", "text_retrieval_recall@5")}
_LEFT, _WIDTH, _ROW, _TOP, _GAP = 170, 560, 22, 40, 44
_STYLE = """<style>
svg { --ink: #1f2933; --soft: #52606d; --line: #cbd2d9; --mark: #3f6fb5; --paper: #ffffff; }
@media (prefers-color-scheme: dark) {
svg { --ink: #e6edf3; --soft: #a9b4c0; --line: #3b4754; --mark: #6f9fe6; --paper: #0d1117; } }
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; font-size: 12px;
fill: var(--soft); }
.t { font-size: 14px; font-weight: 600; fill: var(--ink); } .bg { fill: var(--paper); }
.grid { stroke: var(--line); } .chance { stroke: var(--soft); stroke-dasharray: 4 3; }
.bar { stroke: var(--mark); stroke-width: 2; } .mean { fill: var(--mark); } .seed { fill: var(--mark); opacity: 0.35; }
</style>"""


def draw_plot(release: str, sets: Mapping[str, Mapping[str, Any]], results: Mapping[str, Any]) -> str:
    """A dashed line is what guessing gives."""
    panels = [(f"{name}: {metric}", results[name][metric]) for name in results for metric in _SHOWN[sets[name]["kind"]]]
    parts, top = [], 0
    for title, of_metric in panels:
        parts.append(_panel(title, of_metric, top))
        top += _TOP + _ROW * len(of_metric["arms"]) + _GAP
    width = _LEFT + _WIDTH + 40
    told = escape(f"Scores of models trained on release {release}, by arm")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" role="img" aria-labelledby="title">\n'
        f'<title id="title">{told}</title>\n{_STYLE}\n<rect class="bg" width="{width}" height="{top}"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _panel(title: str, of_metric: Mapping[str, Any], top: int) -> str:
    arms, guess = of_metric["arms"], of_metric["chance"]
    ends = [row["mean"] + (row["half"] or 0) for row in arms.values()]
    most = (
        min(1.0, max([*ends, guess, *(value for row in arms.values() for value in row["values"])], default=1.0)) or 1.0
    )
    bottom = top + _TOP + _ROW * len(arms)

    def across(value: float) -> float:
        return round(_LEFT + _WIDTH * min(1.0, max(0.0, value / most)), 1)

    lines = [f'<text class="t" x="{_LEFT}" y="{top + 24}">{escape(title)}</text>']
    for step in range(5):
        x = across(most * step / 4)
        lines.append(f'<line class="grid" x1="{x}" y1="{top + _TOP}" x2="{x}" y2="{bottom}"/>')
        lines.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{100 * most * step / 4:.1f}%</text>')
    x = across(guess)
    lines.append(f'<line class="chance" x1="{x}" y1="{top + _TOP}" x2="{x}" y2="{bottom}"/>')
    for place, (arm, row) in enumerate(arms.items()):
        y = top + _TOP + _ROW * place + _ROW // 2
        low, high = (across(row["mean"] + sign * (row["half"] or 0)) for sign in (-1, 1))
        lines.append(f'<text x="{_LEFT - 10}" y="{y + 4}" text-anchor="end">{escape(arm)}</text>')
        lines += [f'<circle class="seed" cx="{across(value)}" cy="{y}" r="3"/>' for value in row["values"]]
        lines.append(f'<line class="bar" x1="{low}" y1="{y}" x2="{high}" y2="{y}"/>')
        lines.append(f'<circle class="mean" cx="{across(row["mean"])}" cy="{y}" r="4"/>')
    return "\n".join(lines)
