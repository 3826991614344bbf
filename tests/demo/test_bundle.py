import os
import zipfile
from pathlib import Path

import pytest

from realsyn_ops.demo.bundle import images_of, write_bundle


def test_a_bundle_depends_on_names_and_contents_alone(tmp_path: Path) -> None:
    (tmp_path / "b.html").write_text("<p>b</p>")
    (tmp_path / "a.png").write_bytes(b"a")
    write_bundle(tmp_path / "1.zip", {"b.html": tmp_path / "b.html", "img/a.png": tmp_path / "a.png"})
    os.utime(tmp_path / "b.html", (1, 1))
    (tmp_path / "a.png").chmod(0o600)
    write_bundle(tmp_path / "2.zip", {"img/a.png": tmp_path / "a.png", "b.html": tmp_path / "b.html"})
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "1.zip") as bundle:
        assert bundle.namelist() == ["b.html", "img/a.png"]
        assert bundle.read("img/a.png") == b"a"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("images/a.png", ["images/a.png"]),
        ("images/a%20b.png?v=1#top", ["images/a b.png"]),
        ("../site/images/a.png", ["images/a.png"]),
        ("../secret.png", []),
        ("images/missing.png", []),
        ("https://elsewhere.example/images/a.png", []),
        ("//elsewhere.example/images/a.png", []),
        ("images", []),
        ("images/linked.png", []),
    ],
)
def test_the_images_of_a_page_are_files_below_its_root(tmp_path: Path, source: str, expected: list[str]) -> None:
    root = tmp_path / "site"
    (root / "images").mkdir(parents=True)
    (tmp_path / "secret.png").touch()
    for name in ("a.png", "a b.png"):
        (root / "images" / name).touch()
    (root / "images" / "linked.png").symlink_to(tmp_path / "secret.png")
    (root / "page.html").write_text(f'<p>x</p><IMG class="c" src = "{source}" alt="">')
    assert list(images_of(root / "page.html", root)) == expected
