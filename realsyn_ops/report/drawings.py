"""Geometry of the page's drawings: numbers in, SVG coordinates out. Colours and words belong to the page.

Every drawing lives in a box of 100 x 100 that the page stretches to its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from realsyn_ops.report.figures import Step

_MIN_WIDTH = 0.8


@dataclass(frozen=True, slots=True)
class Band:
    """One step of the funnel: what came in, the band narrowing to what stays, and where the paper's share would end."""

    came_in: str
    kept: str
    paper: str


@dataclass(frozen=True, slots=True)
class ClusterBars:
    """Clusters from large to small; ``clusters_per_bar`` above 1 means a bar is the mean of that many."""

    before: str
    after: str
    cap_y: float | None
    highest: int
    clusters_per_bar: int


def draw_bands(steps: Sequence[Step]) -> list[Band]:
    """A band a step, all on one scale: the widest count of the stream fills the box."""
    widest = max((max(step.n_in, step.n_kept) for step in steps), default=0)
    return [_band(step, widest) for step in steps]


def _band(step: Step, widest: int) -> Band:
    top, bottom = _half_width(max(step.n_in, step.n_kept), widest), _half_width(step.n_kept, widest)
    paper = ""
    if step.paper_drop is not None and step.n_in:
        ends = _half_width(step.n_in * (1 - step.paper_drop), widest)
        paper = f"M{50 - ends:.2f} 76V100M{50 + ends:.2f} 76V100"
    return Band(
        came_in=f"M{50 - top:.2f} 0H{50 + top:.2f}V100H{50 - top:.2f}Z",
        kept=(
            f"M{50 - top:.2f} 0H{50 + top:.2f}C{50 + top:.2f} 60 {50 + bottom:.2f} 30 {50 + bottom:.2f} 100"
            f"H{50 - bottom:.2f}C{50 - bottom:.2f} 30 {50 - top:.2f} 60 {50 - top:.2f} 0Z"
        ),
        paper=paper,
    )


def _half_width(count: float, widest: int) -> float:
    if not count or not widest:
        return 0.0
    return max(_MIN_WIDTH, 100 * count / widest) / 2


def draw_clusters(
    before: Sequence[int], after: Sequence[int], cap: int | None, max_bars: int = 140
) -> ClusterBars | None:
    """Sizes before and after balance as two paths of bars; None where there is no cluster.

    Lists of equal length are taken as the same clusters in the same order and sorted together.
    """
    if not any(before):
        return None
    if len(before) == len(after):
        rows = sorted(zip(before, after, strict=True), reverse=True)
    else:
        padded = sorted(after, reverse=True)[: len(before)]
        padded += [0] * (len(before) - len(padded))
        rows = list(zip(sorted(before, reverse=True), padded, strict=True))
    per_bar = -(-len(rows) // max_bars)
    bars = [rows[start : start + per_bar] for start in range(0, len(rows), per_bar)]
    means = [(sum(b for b, _ in bar) / len(bar), sum(a for _, a in bar) / len(bar)) for bar in bars]
    top = max(max(max(pair) for pair in means), cap or 0)
    return ClusterBars(
        before=_bars([pair[0] for pair in means], top),
        after=_bars([pair[1] for pair in means], top),
        cap_y=round(100 - 100 * cap / top, 2) if cap else None,
        highest=max(before),
        clusters_per_bar=per_bar,
    )


def _bars(sizes: Sequence[float], top: float) -> str:
    slot = 100 / len(sizes)
    gap = 0.22 * slot
    return "".join(
        f"M{rank * slot + gap / 2:.3f} 100V{100 - 100 * size / top:.2f}h{slot - gap:.3f}V100Z"
        for rank, size in enumerate(sizes)
        if size
    )
