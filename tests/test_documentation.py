"""What the written pages claim, held against the code: links, commands, settings, models, tables, params, tasks."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from airflow.sdk import Param
from airflow.sdk.exceptions import ParamValidationError

from realsyn_ops.cli.__main__ import app
from realsyn_ops.cli.services import PROJECT
from realsyn_ops.io import schemas
from realsyn_ops.operators import params
from realsyn_ops.operators.maintenance_params import MAINTAIN
from realsyn_ops.operators.takedown_params import TAKEDOWN
from realsyn_ops.presets import PRESETS, SPECS
from realsyn_ops.settings import Settings

PAGES = sorted([PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").rglob("*.md")])
README = (PROJECT / "README.md").read_text()
OPERATIONS = (PROJECT / "docs" / "operations.md").read_text()
FORMS = {
    "ingest_documents": params.INGEST,
    "curate_images": params.CURATE,
    "cluster_sentences": params.CLUSTER,
    "pair_texts": params.PAIR,
    "mine_tags": params.MINE,
    "release_dataset": params.RELEASE,
    "teach_rewriter": params.TEACH,
    "measure_release": params.MEASURE,
    "takedown": TAKEDOWN,
    "maintain_tables": MAINTAIN,
}
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
_RELEASED = ("RELEASE", "REALSYN")
CORPUS = {n.lower() for n, v in vars(schemas).items() if n.isupper() and n not in _RELEASED and hasattr(v, "names")}
EMBEDDINGS = {"image_embeddings", "sentence_embeddings"}


def section(text: str, title: str) -> str:
    _, _, rest = text.partition(f"\n{title}\n")
    level = title.split()[0]
    return re.split(rf"\n#{{1,{len(level)}}} ", rest)[0]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def options(command: Any) -> set[str]:
    return {option for param in command.params for option in param.opts}


def first_cells(text: str) -> list[str]:
    return [row[0].strip("`") for row in rows(text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_of_the_repository(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_in_the_pages_exists(page: Path) -> None:
    named = re.findall(r"`((?:realsyn_ops|dags|tests|docker|docs|benchmarks)/[\w./-]+)`", page.read_text())
    for path in named:
        assert (PROJECT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_its_options_are_known(page: Path) -> None:
    for line in re.findall(r"\./realsyn ([a-z][^`\n#)]*)", page.read_text()):
        name, *arguments = shlex.split(line.split("  ")[0].replace("'", ""))
        assert name in COMMANDS, line
        command = COMMANDS[name]
        if arguments and hasattr(command, "commands"):
            assert arguments[0] in command.commands, line
            command = command.commands[arguments[0]]
        known = options(command) | {"--help"}
        takes_any = name in {"bench", "test"}
        assert takes_any or {a for a in arguments if a.startswith("--")} <= known, line


def test_the_table_of_commands_holds_all_of_them_with_their_options() -> None:
    table = {row[0].strip("`").removeprefix("./realsyn "): row[1] for row in rows(section(README, "## Commands"))}
    assert set(table) == set(COMMANDS)
    for name, text in table.items():
        parts = getattr(COMMANDS[name], "commands", {})
        assert set(parts) <= set(re.findall(r"\w+", text))
        for command in (COMMANDS[name], *parts.values()):
            for option in (o for o in options(command) if o.startswith("--")):
                assert option in text or option == "--help", option


def test_the_table_of_settings_holds_every_one_with_its_default() -> None:
    table = {row[0].strip("`"): row[1].strip("`") for row in rows(section(OPERATIONS, "## Settings"))}
    assert table == {f"REALSYN_{n.upper()}": str(f.default) for n, f in Settings.model_fields.items()}


def test_the_grammar_of_model_names_is_the_codes() -> None:
    table = {row[0]: re.findall(r"`([^`]+)`", row[1]) for row in rows(section(OPERATIONS, "## Changing models"))}
    assert table == {kind: list(accepted) for kind, accepted in SPECS.items()}


def test_the_readme_names_every_preset_table_and_dag() -> None:
    assert first_cells(section(README, "## Models")) == list(PRESETS)
    assert set(first_cells(section(README, "## The data sets"))) == CORPUS | EMBEDDINGS
    dags = rows(section(README, "## The Dags"))
    assert {row[0].strip("`") for row in dags} == {p.stem for p in (PROJECT / "dags").glob("*.py")} == set(FORMS)
    published = {name for row in dags for name in re.findall(r"`(\w+)`", row[3])}
    assert published == CORPUS | EMBEDDINGS


@pytest.mark.parametrize(("dag", "form"), FORMS.items(), ids=list(FORMS))
def test_operations_lists_a_dags_params_and_tasks(dag: str, form: dict[str, Param]) -> None:
    text = section(OPERATIONS, f"### {dag}")
    listed = re.search(r"Params: (.*?)(?:\n\n|\.\n)", text, re.DOTALL)
    assert listed
    assert set(re.findall(r"`(\w+)`", listed[1])) == {*form} | ({"share"} if dag == "release_dataset" else set())
    tasks = {name for cell in first_cells(text) for name in re.findall(r"\w+", cell)}
    called = set(
        re.findall(r"\b([a-z_]+)(?:\.expand)?\(", (PROJECT / "dags" / f"{dag}.py").read_text().split("def ")[1])
    )
    assert tasks == called - {dag}


@pytest.mark.parametrize(
    ("dag", "name", "param"),
    [(dag, name, param) for dag, form in FORMS.items() for name, param in form.items()],
    ids=[f"{dag}-{name}" for dag, form in FORMS.items() for name in form],
)
def test_every_param_says_what_it_is_and_what_it_may_be(dag: str, name: str, param: Param) -> None:
    shape = param.schema
    assert shape["title"] and len(param.description or "") >= 8
    kinds = {shape["type"]} if isinstance(shape["type"], str) else set(shape["type"])
    if kinds & {"integer", "number"}:
        assert {"minimum", "exclusiveMinimum"} & set(shape), "a number without a least value"
    if "array" in kinds:
        assert "type" in shape["items"]
    with pytest.raises(ParamValidationError):
        param.resolve({"no": "such value"})
    param.resolve()


def test_every_decision_is_in_the_index() -> None:
    folder = PROJECT / "docs" / "decisions"
    records = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert re.findall(r"\]\((.+?)\)", (folder / "README.md").read_text()) == records
    for number, name in enumerate(records, 1):
        text = (folder / name).read_text()
        assert name.startswith(f"{number:04d}-")
        assert text.startswith(f"# {number:04d}: ")
        assert [text.count(f"**{part}.**") for part in ("Context", "Decision", "Consequences")] == [1, 1, 1]
