"""Draws what `./realsyn bench scale --json` answers: cost a sentence and peak memory by size, as SVG.

`python -m benchmarks.material.plot ANSWER SVG`
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 460, 300, 70, 20, 44, 46
_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">
<title id="title">{title}</title>
<style>
svg {{ --ink: #1f2933; --soft: #52606d; --line: #cbd2d9; --a: #3f6fb5; --b: #3b8550; --c: #b3541e; --paper: #ffffff; }}
@media (prefers-color-scheme: dark) {{
svg {{ --ink: #e6edf3; --soft: #a9b4c0; --line: #3b4754; --a: #6f9fe6; --b: #6cbd82; --c: #ef9a5f; --paper: #0d1117; }}
}}
text {{ font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; font-size: 12px;
fill: var(--soft); }}
.t {{ font-size: 14px; font-weight: 600; fill: var(--ink); }}
.bg {{ fill: var(--paper); }} .grid {{ stroke: var(--line); }}
.l {{ fill: none; stroke-width: 2; }}
</style>
<rect class="bg" width="{width}" height="{height}"/>
"""
_TITLE = "Cost a sentence of the steps over all days, and peak memory beside what is allowed, by number of sentences"
_COSTS = {
    "images, all steps": "images",
    "sentences, all steps": "sentences",
    "pair, all steps": "pair",
    "CPU-microseconds a sentence": "all",
}
_MEMORY = {"peak memory (MB)": "peak", "allowed (MB)": "allowed"}
_STROKES = ("var(--a)", "var(--b)", "var(--c)", "var(--ink)")


def draw(answer: dict[str, Any]) -> str:
    """Two panels beside each other, sizes on a logarithmic axis."""
    panels = [
        _panel(answer["figures"], _COSTS, "CPU-microseconds a sentence", x=0),
        _panel(answer["figures"], _MEMORY, "memory of the process (MB)", x=_WIDTH),
    ]
    return _HEAD.format(width=2 * _WIDTH, height=_HEIGHT, title=_TITLE) + "\n".join(panels) + "\n</svg>\n"


def _panel(figures: dict[str, Any], names: dict[str, str], title: str, *, x: int) -> str:
    series = {label: {_number(n): value for n, value in figures[name].items()} for name, label in names.items()}
    sizes = sorted(next(iter(series.values())))
    top = _round_up(max(value for points in series.values() for value in points.values()))
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    span = math.log(sizes[-1] / sizes[0]) or 1.0

    def place(n: int, value: float) -> tuple[float, float]:
        across = math.log(n / sizes[0]) / span * (width - 70)
        return round(x + _LEFT + across, 1), round(_TOP + height * (1 - value / top), 1)

    lines = [f'<text class="t" x="{x + _LEFT}" y="24">{title}</text>']
    for step in range(5):
        value = top * step / 4
        _, y = place(sizes[0], value)
        lines.append(f'<line class="grid" x1="{x + _LEFT}" y1="{y}" x2="{x + _LEFT + width}" y2="{y}"/>')
        lines.append(f'<text x="{x + _LEFT - 8}" y="{y + 4}" text-anchor="end">{value:,.0f}</text>')
    for n in sizes:
        across, y = place(n, 0)
        lines.append(f'<text x="{across}" y="{y + 20}" text-anchor="middle">{_short(n)}</text>')
    lines.append(f'<text x="{x + _LEFT}" y="{_HEIGHT - 8}">sentences</text>')
    taken: list[float] = []
    for (label, points), stroke in zip(series.items(), _STROKES, strict=False):
        path = " ".join(f"{a},{b}" for a, b in (place(n, points[n]) for n in sizes))
        across, y = place(sizes[-1], points[sizes[-1]])
        while any(abs(y - other) < 13 for other in taken):
            y -= 1
        taken.append(y)
        lines.append(f'<polyline class="l" points="{path}" style="stroke: {stroke}"/>')
        lines.append(f'<text x="{across + 6}" y="{y + 4}">{label}</text>')
    return "\n".join(lines)


def _number(size: str) -> int:
    return int(size.replace(",", ""))


def _short(n: int) -> str:
    return f"{n / 1e6:g}M" if n >= 1_000_000 else f"{n / 1e3:g}k"


def _round_up(value: float) -> float:
    step = 10 ** math.floor(math.log10(value))
    return next(step * factor for factor in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if step * factor >= value)


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(draw(json.loads(Path(sys.argv[1]).read_text())))
