"""Open a release's folder as its users do, with `datasets` and `mlcroissant`; print what they found."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import datasets
import mlcroissant

if __name__ == "__main__":
    folder, cache = map(Path, sys.argv[1:3])
    answer: dict[str, object] = {"versions": {name: version(name) for name in ("datasets", "mlcroissant")}}
    asked = {name: {"path": str(folder), "name": name} for name in ("default", "extended")}
    asked["images"] = {"path": "webdataset", "data_files": str(folder / "tars" / "*.tar")}
    for config, arguments in asked.items():
        rows = datasets.load_dataset(**arguments, split="train", cache_dir=str(cache))
        first = {name: value for name, value in rows[0].items() if isinstance(value, str | dict)}
        answer[config] = {"n_rows": len(rows), "columns": rows.column_names, "first": first}
        if config == "images":
            answer["image_sizes"] = [list(row["jpg"].size) for row in rows]
    described = mlcroissant.Dataset(str(folder / "croissant.json"))
    issues = described.metadata.ctx.issues
    answer["croissant"] = {"errors": list(issues.errors), "warnings": list(issues.warnings)}
    answer["croissant_keys"] = [record["pairs/key"].decode() for record in described.records("pairs")]
    print(json.dumps(answer))
