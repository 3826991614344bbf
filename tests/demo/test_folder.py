import zipfile
from pathlib import Path

import pytest

from realsyn_ops.demo import from_folder
from realsyn_ops.errors import PermanentError

DAY = "2025-03-01"


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    root = tmp_path / "documents"
    (root / "site" / "img").mkdir(parents=True)
    (root / "site" / "page.html").write_text('<img src="img/a.JPG">')
    (root / "site" / "img" / "a.JPG").write_bytes(b"jpeg")
    (root / "rows.parquet").write_bytes(b"rows")
    (root / "site" / "rows.parquet").write_bytes(b"other rows")
    (root / "notes.docx").touch()
    (root / ".git").mkdir()
    (root / ".git" / "hidden.html").touch()
    return root


def test_files_are_taken_as_they_are_and_pages_become_one_bundle(documents: Path, tmp_path: Path) -> None:
    made = from_folder(documents, tmp_path / "raw", DAY)
    assert made.files == tuple(f"{DAY}/input/{name}" for name in ("bundle.zip", "rows.parquet", "site__rows.parquet"))
    assert made.n_ignored == 1
    assert (tmp_path / "raw" / made.files[1]).read_bytes() == b"rows"
    with zipfile.ZipFile(tmp_path / "raw" / made.files[0]) as bundle:
        assert bundle.namelist() == ["site/img/a.JPG", "site/page.html"]


def test_lines_lie_in_the_bundle_beside_the_images_their_paths_name_and_alone_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "documents" / "img").mkdir(parents=True)
    (tmp_path / "documents" / "rows.jsonl").write_text('{"texts": [null], "images": ["img/a.png"]}\n')
    assert from_folder(tmp_path / "documents", tmp_path / "alone", DAY).files == (f"{DAY}/input/rows.jsonl",)
    (tmp_path / "documents" / "img" / "a.png").write_bytes(b"png")
    made = from_folder(tmp_path / "documents", tmp_path / "beside", DAY)
    assert (made.files, made.n_ignored) == ((f"{DAY}/input/bundle.zip",), 0)
    with zipfile.ZipFile(tmp_path / "beside" / made.files[0]) as bundle:
        assert bundle.namelist() == ["img/a.png", "rows.jsonl"]


def test_a_second_call_replaces_the_first_with_the_same_bytes(documents: Path, tmp_path: Path) -> None:
    def contents() -> dict[str, bytes]:
        raw = tmp_path / "raw"
        return {str(path.relative_to(raw)): path.read_bytes() for path in raw.rglob("*") if path.is_file()}

    from_folder(documents, tmp_path / "raw", DAY)
    first = contents()
    (tmp_path / "raw" / DAY / "input" / "stale.parquet").touch()
    from_folder(documents, tmp_path / "raw", DAY)
    assert contents() == first


def test_links_that_leave_the_folder_are_not_followed(documents: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.parquet").write_text("secret")
    (documents / "file.parquet").symlink_to(tmp_path / "outside" / "secret.parquet")
    (documents / "folder").symlink_to(tmp_path / "outside")
    made = from_folder(documents, tmp_path / "raw", DAY)
    assert not [name for name in made.files if "file" in name or "secret" in name]


@pytest.mark.parametrize("names", [[], ["photo.png"], ["notes.docx", "data.csv"]])
def test_a_folder_with_nothing_usable_says_what_is_read(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "documents").mkdir()
    for name in names:
        (tmp_path / "documents" / name).touch()
    with pytest.raises(PermanentError, match=rf"nothing usable among {len(names)} files: OBELICS-style .parquet"):
        from_folder(tmp_path / "documents", tmp_path / "raw", DAY)
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    "name",
    ["crawl.warc", "crawl.warc.gz", "samples.tar", "pages.tar.gz", "pages.zip", "mmc4.jsonl", "docs.json", "o.parquet"],
)
def test_every_kind_of_table_and_archive_passes_through_untouched(tmp_path: Path, name: str) -> None:
    (tmp_path / "documents" / "a").mkdir(parents=True)
    (tmp_path / "documents" / "a" / name).write_bytes(b"its bytes")
    made = from_folder(tmp_path / "documents", tmp_path / "raw", DAY)
    assert (made.files, made.n_ignored) == ((f"{DAY}/input/a__{name}",), 0)
    assert (tmp_path / "raw" / made.files[0]).read_bytes() == b"its bytes"


def test_what_is_not_read_is_named_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "paper.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "documents" / "rows.txt").write_bytes(b'{"texts": []}')
    (tmp_path / "documents" / "z.bin").write_bytes(b"\x01\x02\x03")
    with pytest.raises(PermanentError) as refused:
        from_folder(tmp_path / "documents", tmp_path / "raw", DAY)
    told = str(refused.value)
    assert "paper.pdf is PDF" in told
    assert "rows.txt is jsonl by its content: name it so if it is to be read" in told
    assert r"z.bin is bytes that start with b'\x01\x02\x03'" in told


def test_a_folder_that_is_not_there_and_a_bad_day_are_refused(documents: Path, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="is no folder"):
        from_folder(tmp_path / "missing", tmp_path / "raw", DAY)
    with pytest.raises(PermanentError, match="YYYY-MM-DD"):
        from_folder(documents, tmp_path / "raw", "yesterday")


def test_two_files_that_would_share_a_name_are_refused(documents: Path, tmp_path: Path) -> None:
    (documents / "site__rows.parquet").touch()
    with pytest.raises(PermanentError, match="rename one"):
        from_folder(documents, tmp_path / "raw", DAY)
