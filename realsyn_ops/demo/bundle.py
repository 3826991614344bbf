"""Bundles: web pages and the images they show, in one zip whose bytes depend on names and contents alone."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"})
PAGE_SUFFIXES = frozenset({".html", ".htm"})

_SRC = re.compile(rb"""<img\b[^>]*?\bsrc\s*=\s*["']([^"']+)["']""", re.IGNORECASE)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_bundle(path: Path, members: Mapping[str, Path]) -> None:
    """Zip of ``members`` (name inside the zip -> file), sorted, without clock or mode, stored uncompressed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as bundle:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            bundle.writestr(info, members[name].read_bytes())


def images_of(page: Path, root: Path) -> dict[str, Path]:
    """The images a page shows that are files below ``root``, as members of its bundle."""
    found: dict[str, Path] = {}
    for match in _SRC.findall(page.read_bytes()):
        source = urlsplit(match.decode("utf-8", "replace"))
        if source.scheme or source.netloc or not source.path:
            continue
        image = (page.parent / unquote(source.path)).resolve()
        if image.is_file() and image.is_relative_to(root.resolve()):
            found[image.relative_to(root.resolve()).as_posix()] = image
    return found
