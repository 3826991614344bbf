"""report.json as frozen figures with every derived share in it, so that both renderings show the same numbers.

Parts may be missing or empty: they become zeros, empty tuples and None. Every text is printable.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from realsyn_ops.report.wording import printable

STREAMS = ("documents", "images", "sentences")


@dataclass(frozen=True, slots=True)
class Step:
    """One filter of the funnel. Shares are rejected shares, None where nothing came in."""

    name: str
    n_in: int
    n_kept: int
    rejects: tuple[tuple[str, int], ...]
    paper_in: int | None
    paper_kept: int | None
    paper_drop: float | None

    @property
    def n_rejected(self) -> int:
        return max(0, self.n_in - self.n_kept)

    @property
    def drop(self) -> float | None:
        return self.n_rejected / self.n_in if self.n_in else None

    @property
    def n_unaccounted(self) -> int:
        """Records neither kept nor rejected with a reason: always 0 in an honest run."""
        return self.n_in - self.n_kept - sum(n for _, n in self.rejects)


@dataclass(frozen=True, slots=True)
class Host:
    """What one host gave of the images asked of it."""

    name: str
    n_urls: int
    n_images: int
    n_bytes: int
    rejects: tuple[tuple[str, int], ...]

    @property
    def share(self) -> float:
        """Images per URL asked for."""
        return self.n_images / self.n_urls if self.n_urls else 0.0


@dataclass(frozen=True, slots=True)
class StageCost:
    """A stage over all its days and tasks: seconds add up, memory is the highest of any task."""

    dag: str
    stage: str
    tasks: int
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int


@dataclass(frozen=True, slots=True)
class DayCost:
    """What the runs of a day spent, and its accepted pairs."""

    day: str
    n_pairs: int
    cpu_seconds: float
    n_bytes: int
    n_calls: int
    n_tokens: int

    def for_1000(self, amount: float) -> float:
        """An amount of the day, for each thousand of its pairs."""
        return 1000 * amount / self.n_pairs


@dataclass(frozen=True, slots=True)
class Gate:
    name: str
    dag: str
    day: str
    is_passed: bool
    n_expectations: int
    failures: tuple[str, ...]
    docs_uri: str
    warnings: tuple[str, ...] = ()
    accepted: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """What balance sampling chose between the similarity bounds, and the sizes of the images' clusters around it."""

    lower: float | None
    upper: float | None
    cap: int | None
    n_clusters: int | None
    n_candidates: int | None
    n_selected: int | None
    sizes_before: tuple[int, ...]
    sizes_after: tuple[int, ...]
    scales: tuple[Mapping[str, Any], ...]
    what_if: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What a model's answers cost that were paid for, and what became of them at the grounding gate."""

    model: str
    n_answers: int
    n_accepted: int
    n_prompt_tokens: int
    n_answer_tokens: int
    n_bytes: int
    seconds: float
    refused: tuple[tuple[str, int], ...]
    n_again: int
    n_accepted_again: int

    def for_1000(self, spent: float) -> float | None:
        """So much for a thousand accepted answers."""
        return 1_000 * spent / self.n_accepted if self.n_accepted else None


@dataclass(frozen=True, slots=True)
class Figures:
    version: str
    revoked: str
    preset: str
    days: tuple[str, ...]
    n_pairs: int
    path: str
    uri: str
    models: tuple[tuple[str, str], ...]
    funnel: dict[str, tuple[Step, ...]]
    hosts: tuple[Host, ...]
    stages: tuple[StageCost, ...]
    day_costs: tuple[DayCost, ...]
    gates: tuple[Gate, ...]
    selection: Selection
    synthesis: dict[str, int]
    fallbacks: tuple[tuple[str, int], ...]
    model_costs: tuple[ModelCost, ...]
    retrieval: tuple[tuple[str, Any], ...]
    codebook: tuple[tuple[str, Any], ...]


def read_figures(report: Mapping[str, Any]) -> Figures:
    """The figures of a ``report.json``; stages in order of first mention, reasons by count, then name."""
    report = printable(report)
    release = report.get("release") or {}
    selection = _selection(report.get("selection") or {})
    synthesis = dict(report.get("synthesis") or {})
    fallbacks = _by_count(synthesis.pop("fallbacks", None))
    model_costs = tuple(map(_model_cost, synthesis.pop("models", None) or ()))
    n_pairs = release.get("n_pairs")
    return Figures(
        version=report.get("version") or release.get("version") or "",
        revoked=" ".join((report.get("revoked") or {}).get(name, "") for name in ("revoked", "reason")).strip(),
        preset=report.get("preset") or "",
        days=tuple(report.get("days") or ()),
        n_pairs=(selection.n_selected or 0) if n_pairs is None else n_pairs,
        path=release.get("path") or "",
        uri=release.get("uri") or "",
        models=tuple((kind, str(name)) for kind, name in (report.get("models") or {}).items()),
        funnel={stream: tuple(map(_step, (report.get("funnel") or {}).get(stream) or ())) for stream in STREAMS},
        hosts=tuple(map(_host, report.get("hosts") or ())),
        stages=_stage_costs(report.get("stages") or ()),
        day_costs=tuple(DayCost(**values) for values in report.get("day_costs") or ()),
        gates=tuple(map(_gate, report.get("gates") or ())),
        selection=selection,
        synthesis={origin: n or 0 for origin, n in synthesis.items()},
        fallbacks=fallbacks,
        model_costs=model_costs,
        retrieval=tuple((report.get("retrieval") or {}).items()),
        codebook=tuple((report.get("codebook") or {}).items()),
    )


def _step(values: Mapping[str, Any]) -> Step:
    paper_in, paper_kept, share = (values.get(name) for name in ("paper_in", "paper_kept", "paper_share"))
    paper_drop = None if share is None else abs(share)
    if paper_in and paper_kept is not None:
        paper_drop = 1 - paper_kept / paper_in if paper_kept <= paper_in else None
    return Step(
        name=values.get("step") or "",
        n_in=values.get("n_in") or 0,
        n_kept=values.get("n_kept") or 0,
        rejects=_by_count(values.get("rejects")),
        paper_in=paper_in,
        paper_kept=paper_kept,
        paper_drop=paper_drop,
    )


def _by_count(counts: Mapping[str, int] | None) -> tuple[tuple[str, int], ...]:
    counted = [(reason, n) for reason, n in (counts or {}).items() if n]
    return tuple(sorted(counted, key=lambda item: (-item[1], item[0])))


def _model_cost(values: Mapping[str, Any]) -> ModelCost:
    return ModelCost(
        model=values.get("model") or "",
        n_answers=values.get("n_answers") or 0,
        n_accepted=values.get("n_accepted") or 0,
        n_prompt_tokens=values.get("n_prompt_tokens") or 0,
        n_answer_tokens=values.get("n_answer_tokens") or 0,
        n_bytes=values.get("n_bytes") or 0,
        seconds=values.get("seconds") or 0.0,
        refused=_by_count(values.get("refused")),
        n_again=values.get("n_again") or 0,
        n_accepted_again=values.get("n_accepted_again") or 0,
    )


def _host(values: Mapping[str, Any]) -> Host:
    n_urls, n_images, n_bytes = (values.get(name) or 0 for name in ("n_urls", "n_images", "n_bytes"))
    return Host(values.get("host") or "", n_urls, n_images, n_bytes, _by_count(values.get("rejects")))


def _stage_costs(rows: Any) -> tuple[StageCost, ...]:
    sums: dict[tuple[str, str], Counter[str]] = {}
    peaks: Counter[tuple[str, str]] = Counter()
    for row in rows:
        stage = (row.get("dag") or "", row.get("stage") or "")
        total = sums.setdefault(stage, Counter())
        for name in ("tasks", "seconds", "cpu_seconds"):
            total[name] += row.get(name) or 0
        peaks[stage] = max(peaks[stage], row.get("peak_rss_bytes") or 0)
    return tuple(
        StageCost(*stage, total["tasks"], total["seconds"], total["cpu_seconds"], peaks[stage])
        for stage, total in sums.items()
    )


def _selection(values: Mapping[str, Any]) -> Selection:
    return Selection(
        lower=values.get("lower"),
        upper=values.get("upper"),
        cap=values.get("cap"),
        n_clusters=values.get("n_clusters"),
        n_candidates=values.get("n_candidates"),
        n_selected=values.get("n_selected"),
        sizes_before=tuple(values.get("cluster_sizes_before") or ()),
        sizes_after=tuple(values.get("cluster_sizes_after") or ()),
        scales=tuple(values.get("scales") or ()),
        what_if=tuple(values.get("what_if") or ()),
    )


def _gate(values: Mapping[str, Any]) -> Gate:
    accepted = values.get("accepted") or {}
    return Gate(
        name=values.get("gate") or "",
        dag=values.get("dag") or "",
        day=values.get("day") or "",
        is_passed=values.get("passed") is True,
        n_expectations=values.get("n_expectations") or 0,
        failures=tuple(map(str, values.get("failures") or ())),
        docs_uri=values.get("docs_uri") or "",
        warnings=tuple(map(str, values.get("warnings") or ())),
        accepted=f"accepted by {accepted.get('by')}: {accepted.get('why')}" if accepted else "",
    )
