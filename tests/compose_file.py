"""docker-compose.yml as the tests read it: as it is written, and with its variables' values in place."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from realsyn_ops.cli.services import PROJECT

COMPOSE = PROJECT / "docker-compose.yml"
EXAMPLE = PROJECT / "docker" / "example.env"
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::[-?]([^}]*))?\}")


def example_values() -> dict[str, str]:
    lines = [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")]
    return {name: shlex.split(value)[0] if value else "" for name, _, value in (line.partition("=") for line in lines)}


def written() -> dict[str, Any]:
    """The file as it is written, anchors merged, variables in place."""
    return yaml.safe_load(COMPOSE.read_text())


def resolve(node: Any, values: Mapping[str, str]) -> Any:
    """The part of the file with its variables' values, as compose puts them: into strings, after parsing."""
    if isinstance(node, dict):
        return {name: resolve(value, values) for name, value in node.items()}
    if isinstance(node, list):
        return [resolve(value, values) for value in node]
    if isinstance(node, str):
        return VARIABLE.sub(lambda m: values.get(m[1]) or m[2] or "", node).replace("$$", "$")
    return node
