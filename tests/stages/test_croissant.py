"""A release described to machines. That `mlcroissant` and `sha256sum` take it: tests/flow/test_release_clients.py."""

import json

from realsyn_ops.io.schemas import RELEASE
from realsyn_ops.stages.croissant import checksums, croissant

FILES = [
    {"path": "tars/00000.tar", "bytes": 20480, "sha256": "bb"},
    {"path": "pairs/00000.parquet", "bytes": 7, "sha256": "aa"},
    {"path": "README.md", "bytes": 3, "sha256": "cc"},
]
REPORT = {"version": "2025-02-19-0a1b2c3d", "days": ["2025-02-18", "2025-02-19"], "files": FILES}


def test_every_column_and_every_data_file_is_described() -> None:
    described = json.loads(croissant(REPORT, folder="pairs", columns=RELEASE))
    (rows,) = described["recordSet"]
    assert [field["name"] for field in rows["field"]] == RELEASE.names
    assert all(field["description"] for field in rows["field"])
    assert {field["name"] for field in rows["field"] if field.get("repeated")} == {"tags"}
    objects = {item["@id"]: item for item in described["distribution"] if item["@type"] == "cr:FileObject"}
    assert {path: (item["sha256"], item["contentSize"]) for path, item in objects.items()} == {
        "tars/00000.tar": ("bb", "20480 B"),
        "pairs/00000.parquet": ("aa", "7 B"),
    }
    assert described["datePublished"] == "2025-02-19"


def test_the_same_release_has_the_same_description() -> None:
    assert croissant(REPORT, folder="pairs", columns=RELEASE) == croissant(
        dict(reversed(REPORT.items())), folder="pairs", columns=RELEASE
    )


def test_checksums_stand_in_order_of_path() -> None:
    assert checksums(FILES) == b"cc  README.md\naa  pairs/00000.parquet\nbb  tars/00000.tar\n"
