"""A user's own documents as raw input: the source `input`. Files are taken as they are, web pages as one bundle.

What a file holds is found by its content when it is read; here its name only says that it is meant to be.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from realsyn_ops.demo.bundle import IMAGE_SUFFIXES, PAGE_SUFFIXES, write_bundle
from realsyn_ops.errors import BadDocumentError, PermanentError
from realsyn_ops.io.formats import format_of
from realsyn_ops.plans import check_day

SOURCE = "input"
ACCEPTED = (
    "OBELICS-style .parquet or .jsonl files, MMC4's .jsonl, .warc and .warc.gz, .tar and .zip of pages or WebDataset "
    "samples, or .html pages with their images"
)

_BUNDLE = "bundle.zip"
_AS_THEY_ARE = frozenset({".parquet", ".json", ".warc", ".tar", ".tgz", ".zip", ".gz"})
_KINDS = (PAGE_SUFFIXES, IMAGE_SUFFIXES, frozenset({".jsonl"}), _AS_THEY_ARE)
_MAX_NAMED = 3


@dataclass(frozen=True, slots=True)
class FolderInput:
    """``files`` are relative to ``path``: ``<day>/input/<file>``, sorted. ``n_ignored`` files were of no use."""

    path: Path
    day: str
    files: tuple[str, ...]
    n_ignored: int


def from_folder(path: Path, into: Path, day: str) -> FolderInput:
    """Writes ``into/<day>/input/``: each table or archive, and one bundle of all pages and images below ``path``.

    A jsonl file beside pages or images goes into the bundle, where the paths in it lead to the images. Another file
    in a subfolder keeps its place in its name (``a/b.parquet`` becomes ``a__b.parquet``). Hidden files and links that
    leave the folder are not followed. Raises PermanentError where nothing is usable.
    """
    check_day(day)
    if not path.is_dir():
        raise PermanentError(f"{path} is no folder: give one that holds {ACCEPTED}")
    members = _find_files(path)
    pages, images, lines, tables = (
        [name for name in members if Path(name).suffix.lower() in suffixes] for suffixes in _KINDS
    )
    if not pages and not lines and not tables:
        seen = "".join(f"; {name} is {_seen(file)}" for name, file in list(members.items())[:_MAX_NAMED])
        raise PermanentError(f"{path} holds nothing usable among {len(members)} files: {ACCEPTED} are read{seen}")
    bundled = [*pages, *images, *lines] if pages or (lines and images) else []
    single = tables if bundled else [*tables, *lines]
    files = {name.replace("/", "__"): name for name in single}
    if len(files) < len(single):
        raise PermanentError(f"{path}: two files get the same name when '/' is written as '__': rename one")
    target = into / day / SOURCE
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{SOURCE}-") as scratch:
        made = Path(scratch) / SOURCE
        made.mkdir()
        for flat, name in files.items():
            shutil.copyfile(members[name], made / flat)
        if bundled:
            write_bundle(made / _BUNDLE, {name: members[name] for name in bundled})
        if target.is_dir():
            shutil.rmtree(target)
        made.replace(target)
    written = sorted(f"{day}/{SOURCE}/{file.name}" for file in target.iterdir())
    return FolderInput(into, day, tuple(written), len(members) - len(bundled) - len(files))


def _seen(path: Path) -> str:
    """What a file is by its content."""
    with path.open("rb") as file:
        try:
            return f"{format_of(file)} by its content: name it so if it is to be read"
        except BadDocumentError as error:
            return str(error).partition(" is not read")[0].partition(";")[0]


def _find_files(path: Path) -> dict[str, Path]:
    """Regular files below the folder by their relative name; those outside it, reached by a link, are left out."""
    root = path.resolve()
    found: dict[str, Path] = {}
    for folder, subfolders, names in os.walk(root, followlinks=False):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            file = Path(folder) / name
            if not name.startswith(".") and file.is_file() and file.resolve().is_relative_to(root):
                found[file.relative_to(root).as_posix()] = file
    return found
