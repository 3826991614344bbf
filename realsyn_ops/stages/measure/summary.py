"""The scores of all trainings as one table: arms by metrics, with intervals and differences from the base."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from realsyn_ops.stages.measure.arms import BASE
from realsyn_ops.stages.measure.intervals import chance, interval

METRICS = {
    "classification": ("acc1", "acc5", "mean_per_class_recall"),
    "retrieval": (
        "image_retrieval_recall@1",
        "image_retrieval_recall@5",
        "text_retrieval_recall@1",
        "text_retrieval_recall@5",
    ),
}
"""clip-benchmark's names, by its names of the tasks."""


class Scores(NamedTuple):
    """What a training scored: ``found`` by set, then metric."""

    arm: str
    seed: int
    n_pairs: int
    found: Mapping[str, Mapping[str, float]]


def summarise(scores: Sequence[Scores], sets: Mapping[str, Mapping[str, Any]], arms: Iterable[str]) -> dict[str, Any]:
    """By set, metric and arm: ``values`` in order of the seeds, mean, interval, difference from the base; by arm pairs.

    ``sets`` say of each their ``kind``, and how many classes or images there are. Arms without a training are left out.
    Differences are between trainings of one seed, and need the base to be there.
    """
    of_arms = {arm: sorted((one for one in scores if one.arm == arm), key=lambda one: one.seed) for arm in arms}
    of_arms = {arm: found for arm, found in of_arms.items() if found}
    results: dict[str, Any] = {}
    for name, facts in sorted(sets.items()):
        for metric in METRICS[facts["kind"]]:
            if any(metric not in one.found[name] for one in scores):
                continue
            rows = {}
            for arm, found in of_arms.items():
                values = [one.found[name][metric] for one in found]
                row: dict[str, Any] = {"values": values, **interval(values)._asdict()}
                if arm != BASE and BASE in of_arms:
                    base = {one.seed: one.found[name][metric] for one in of_arms[BASE]}
                    gains = [value - base[one.seed] for one, value in zip(found, values, strict=True)]
                    row["difference"] = interval(gains)._asdict() | {"is_clear": interval(gains).excludes_zero}
                rows[arm] = row
            results.setdefault(name, {})[metric] = {"chance": chance(metric, facts), "arms": rows}
    return {"pairs": {arm: found[0].n_pairs for arm, found in of_arms.items()}, "results": results}


def markdown(facts: Mapping[str, Any]) -> str:
    """The card of a measurement: what was done, a table a set, and what could not be measured."""
    plan = facts["plan"]
    lines = [
        f"# What release {facts['release']} is worth",
        "",
        f"Each arm trained {facts['model']} for {plan['steps']:,} steps of {plan['batch_size']:,} from {plan['seeds']} "
        "seeds on texts of its own, one drawn at random each time an image is seen, and was evaluated with "
        "clip-benchmark. In percent: mean over the seeds, +- half of the 95% interval of that mean by Student's t, "
        "which says what other seeds would give and not what other pictures would. In brackets: less "
        f"`{BASE}`, seed by seed; bold where that interval leaves out zero.",
    ]
    for name, of_set in facts["results"].items():
        about = facts["sets"][name]
        sizes = ", ".join(f"{value:,} {key.removeprefix('n_')}" for key, value in about.items() if key != "kind")
        lines += ["", f"## {name}: {about['kind']}, {sizes}", "", f"| arm | pairs | {' | '.join(of_set)} |"]
        lines.append("|---|---|" + "---|" * len(of_set))
        for arm, n_pairs in facts["pairs"].items():
            cells = (_cell(of_metric["arms"][arm]) for of_metric in of_set.values())
            lines.append(f"| `{arm}` | {n_pairs:,} | {' | '.join(cells)} |")
        guesses = (f"{100 * of_metric['chance']:.1f}" for of_metric in of_set.values())
        lines.append(f"| guessing | | {' | '.join(guesses)} |")
    if facts["absent"]:
        lines += ["", "## Arms that this release cannot have", ""]
        lines += [f"- `{arm}`: {why}" for arm, why in facts["absent"].items()]
    return "\n".join([*lines, "", "![Scores of the arms](scores.svg)", ""])


def _cell(row: Mapping[str, Any]) -> str:
    text = f"{100 * row['mean']:.1f}" + ("" if row["half"] is None else f" +- {100 * row['half']:.1f}")
    if (less := row.get("difference")) is None:
        return text
    told = f"{100 * less['mean']:+.1f}" + ("" if less["half"] is None else f" +- {100 * less['half']:.1f}")
    return f"{text} ({f'**{told}**' if less['is_clear'] else told})"
