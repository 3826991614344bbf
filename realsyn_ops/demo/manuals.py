"""The source `manuals`: the HTML help of programs, as it is, photographs among screenshots. A page is a document."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from realsyn_ops.demo.bundle import images_of, write_bundle

SOURCE = "manuals"


@dataclass(frozen=True, slots=True)
class Manual:
    """Where a Debian package keeps its pages; ``pages`` is a glob below ``folder``."""

    package: str
    folder: str
    pages: str


MANUALS = (
    Manual("gimp-help-en", "usr/share/gimp/2.0/help/en", "*.html"),
    Manual("hugin-data", "usr/share/hugin/xrc/data/help_en_EN", "*.html"),
)
TUTORIALS = (Manual("opencv-doc", "usr/share/doc/opencv-doc/opencv4/html", "**/tutorial_*.html"),)


@dataclass(frozen=True, slots=True)
class Page:
    manual: Manual
    root: Path
    path: Path

    @property
    def member(self) -> str:
        return self.path.relative_to(self.root).as_posix()

    @property
    def name(self) -> str:
        """Stable name of the document: what selects it and gives it a day."""
        return f"{SOURCE}/{self.manual.package}/{self.member}"


def find_pages(manual: Manual, package: Path) -> list[Page]:
    """Every page of an unpacked package, by name."""
    root = package / manual.folder
    return [Page(manual, root, path) for path in sorted(root.glob(manual.pages)) if path.is_file()]


def write_manuals(pages: Iterable[Page], into: Path) -> list[Path]:
    """One bundle a manual: the given pages, bytes unchanged, and the images they show."""
    members: dict[str, dict[str, Path]] = {}
    for page in pages:
        manual = members.setdefault(page.manual.package, {})
        manual[page.member] = page.path
        manual.update(images_of(page.path, page.root))
    written = []
    for package, files in sorted(members.items()):
        into.mkdir(parents=True, exist_ok=True)
        written.append(into / f"{package}.zip")
        write_bundle(written[-1], files)
    return written
