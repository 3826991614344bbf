"""Runs the suites of a gate on staged tables with Great Expectations and says what broke.

A suite is a readable file, ``suites/<data set>.yaml``: a list of expectations by their Great Expectations names. The
result is asserted here; nothing relies on a checkpoint raising by itself.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read while Great Expectations is imported: nothing is sent home

import great_expectations as gx
import pandas as pd
import yaml

SUITES = Path(__file__).parent / "suites"


@dataclass(frozen=True)
class GateResult:
    """What one suite said of one data set; ``failures`` name expectation, column and what was seen."""

    gate: str
    n_rows: int
    n_expectations: int
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.failures


def read_suite(name: str) -> list[dict[str, Any]]:
    """The expectations of a data set, as its file has them."""
    return yaml.safe_load((SUITES / f"{name}.yaml").read_text())


def audit(frames: Mapping[str, pd.DataFrame], docs_path: Path) -> list[GateResult]:
    """Validate each frame by the suite of its name and write the Data Docs site under ``docs_path``."""
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
        suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=read_suite(name)))
        validation = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
        outcome = validation.run(batch_parameters={"dataframe": frame}, result_format="SUMMARY")
        failures = tuple(_failure(result) for result in outcome.results if not result.success)
        if bool(failures) == bool(outcome.success):
            failures = (*failures, "the suite's own verdict differs from its expectations'")
        results.append(GateResult(name, len(frame), len(outcome.results), failures))
    context.build_data_docs(site_names=["docs"])
    return results


def _failure(result: Any) -> str:
    config = result.expectation_config
    kwargs = {k: v for k, v in config.kwargs.items() if k not in {"batch_id", "column"}}
    where = f" of {config.kwargs['column']}" if "column" in config.kwargs else ""
    seen = result.result
    if "unexpected_count" in seen:
        what = f"{seen['unexpected_count']} of {seen['element_count']} rows, e.g. {seen['partial_unexpected_list'][:3]}"
    elif "observed_value" in seen:
        what = f"observed {seen['observed_value']}"
    else:
        what = "could not be evaluated (is the column there?)"
    return f"{config.type}{where}{f' {kwargs}' if kwargs else ''}: {what}"
