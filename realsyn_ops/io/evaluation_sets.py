"""Evaluation sets in the bucket, in the layout of clip-benchmark's WebDatasets: ``PREFIX/NAME/`` with ``test/N.tar``,
``test/nshards.txt`` and, for classification, ``classnames.txt`` and ``zeroshot_classification_templates.txt``;
``dataset_type.txt`` says ``retrieval`` where it is that. `clip_benchmark_export_wds` writes them.
"""

from dataclasses import dataclass
from pathlib import Path

from realsyn_ops.errors import PermanentError
from realsyn_ops.io.storage import Bucket

_SHARDS = "test/nshards.txt"
_TYPE = "dataset_type.txt"
_NEEDED = {
    "classification": (_SHARDS, "classnames.txt", "zeroshot_classification_templates.txt"),
    "retrieval": (_SHARDS, _TYPE),
}


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """``files``: path below the set's folder and etag of each."""

    name: str
    kind: str
    prefix: str
    files: tuple[tuple[str, str], ...]


def evaluation_sets(bucket: Bucket, prefix: str) -> list[EvaluationSet]:
    """The sets below a prefix, by name. Raises PermanentError where there is none, or one is not whole."""
    folder = prefix.rstrip("/") + "/"
    files: dict[str, dict[str, str]] = {}
    for item in bucket.list(folder):
        name, _, path = item.key.removeprefix(folder).partition("/")
        if path:
            files.setdefault(name, {})[path] = item.etag
    if not files:
        raise PermanentError(
            f"no evaluation set below {bucket.uri(folder)}: put one there as NAME/test/0.tar with {_SHARDS} and "
            "its classes, as clip_benchmark_export_wds writes it"
        )
    return [_checked(bucket, f"{folder}{name}", name, found) for name, found in sorted(files.items())]


def fetch_set(bucket: Bucket, one: EvaluationSet, into: Path) -> Path:
    """Copy a set to a folder of its name."""
    for path, _ in one.files:
        bucket.download(f"{one.prefix}/{path}", into / one.name / path)
    return into / one.name


def _checked(bucket: Bucket, prefix: str, name: str, files: dict[str, str]) -> EvaluationSet:
    kind = bucket.get(f"{prefix}/{_TYPE}").decode().strip().lower() if _TYPE in files else "classification"
    if kind not in _NEEDED:
        raise PermanentError(f"{bucket.uri(prefix)}: {_TYPE} says {kind!r}; it must be one of {', '.join(_NEEDED)}")
    missing = [path for path in _NEEDED[kind] if path not in files]
    if not missing:
        shards = int(bucket.get(f"{prefix}/{_SHARDS}"))
        missing = [path for path in (f"test/{i}.tar" for i in range(shards)) if path not in files]
    if missing:
        raise PermanentError(f"{bucket.uri(prefix)}: the evaluation set has no {', '.join(missing)}")
    return EvaluationSet(name, kind, prefix, tuple(sorted(files.items())))
