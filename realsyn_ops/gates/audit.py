"""Runs the suites of a gate on staged tables with Great Expectations and says what broke.

A suite is a readable file, ``suites/<data set>.yaml``: a list of expectations by their Great Expectations names, each
critical unless it has ``severity: warning``. The result is asserted here; nothing relies on a checkpoint raising by
itself.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read while Great Expectations is imported: nothing is sent home

import great_expectations as gx
import pandas as pd
import yaml

SUITES = Path(__file__).parent / "suites"
CRITICAL, WARNING = "critical", "warning"


@dataclass(frozen=True)
class Broken:
    """An expectation that did not hold: what was allowed, what was seen, and keys of rows that broke it (20 at most).

    ``severity``: ``critical`` stops the run, ``warning`` is told and lets it pass.
    """

    gate: str
    expectation: str
    column: str
    severity: str
    allowed: str
    observed: str
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" of {self.column}" if self.column else ""
        return f"{self.expectation}{where}{self.allowed and f' {self.allowed}'}: {self.observed}"


@dataclass(frozen=True)
class GateResult:
    """What one suite said of one data set."""

    gate: str
    n_rows: int
    n_expectations: int
    broken: tuple[Broken, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """What stops the run: each names expectation, column and what was seen."""
        return tuple(str(broken) for broken in self.broken if broken.severity == CRITICAL)

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(str(broken) for broken in self.broken if broken.severity != CRITICAL)

    @property
    def passed(self) -> bool:
        return not self.failures


def read_suite(name: str) -> list[dict[str, Any]]:
    """The expectations of a data set, as its file has them."""
    return yaml.safe_load((SUITES / f"{name}.yaml").read_text())


def audit(frames: Mapping[str, pd.DataFrame], docs_path: Path, *, only_warn: Collection[str] = ()) -> list[GateResult]:
    """Validate each frame by the suite of its name and write the Data Docs site under ``docs_path``.

    The expectations of suites that are to ``only_warn`` are warnings, whatever their files say.
    """
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("staged")
    context.add_data_docs_site(
        "docs",
        {
            "class_name": "SiteBuilder",
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs_path)},
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        },
    )
    results = []
    for name, frame in frames.items():
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("staged")
        weaker = {"severity": WARNING} if name in only_warn else {}
        expectations = [rule | weaker for rule in read_suite(name)]
        suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
        validation = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
        form: dict[str, Any] = {"result_format": "SUMMARY"}
        if "key" in frame.columns:
            form["unexpected_index_column_names"] = ["key"]
        outcome = validation.run(batch_parameters={"dataframe": frame}, result_format=form)
        broken = [_broken(name, result) for result in outcome.results if not result.success]
        if bool(broken) == bool(outcome.success):
            broken.append(Broken(name, "verdict", "", CRITICAL, "", "the suite's own differs from its expectations'"))
        results.append(GateResult(name, len(frame), len(outcome.results), tuple(broken)))
    context.build_data_docs(site_names=["docs"])
    return results


def _broken(gate: str, result: Any) -> Broken:
    config = result.expectation_config
    kwargs = {k: v for k, v in config.kwargs.items() if k not in {"batch_id", "column"}}
    seen = result.result
    if "unexpected_count" in seen:
        what = f"{seen['unexpected_count']} of {seen['element_count']} rows, e.g. {seen['partial_unexpected_list'][:3]}"
    elif "observed_value" in seen:
        what = f"observed {seen['observed_value']}"
    else:
        what = "could not be evaluated (is the column there?)"
    places = seen.get("partial_unexpected_index_list") or ()  # numbers of rows where there are no keys
    return Broken(
        gate,
        config.type,
        config.kwargs.get("column", ""),
        str(config.severity.value),
        str(kwargs) if kwargs else "",
        what,
        tuple(str(row["key"]) for row in places if isinstance(row, dict)),
    )
