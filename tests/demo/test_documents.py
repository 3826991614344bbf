"""The demo's input over two small packages in the real ones' layout, laid where `fetch` would have unpacked them."""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from realsyn_ops.demo import DAYS, make_demo_input
from realsyn_ops.demo.dictionary import PACKAGES, SUBJECTS, compose_pages
from realsyn_ops.demo.documents import choose
from realsyn_ops.demo.manuals import MANUALS, TUTORIALS
from realsyn_ops.errors import PermanentError

N_PAGES = 20
STAMPS = {
    "animals/birds/magpie": "A magpie.",
    "animals/birds/owl_mirror": "An owl.",
    "vehicles/bus": "A red bus.",
    "military/vehicles/tank": "A tank!",
    "military/cannon": "A cannon.",
    **{f"food/fruit/apple{i}": "An apple." for i in range(12)},
}


@dataclass(frozen=True)
class Named:
    name: str


def png(seed: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGBA", (120, 110), (seed * 7 % 256, seed, 9, 255)).save(content, "PNG")
    return content.getvalue()


def write_wordnet(folder: Path) -> None:
    """Every root the subjects name, with a hyponym each; birds have more."""
    folder.mkdir(parents=True)
    words: dict[str, int] = {}
    for subject in SUBJECTS:
        for root in subject.roots:
            word, sense = root.rsplit(".", 1)
            words[word] = max(words.get(word, 0), int(sense))
    data, index = ["  1 licence"], ["  1 licence"]
    for n, (word, n_senses) in enumerate(sorted(words.items()), 1):
        names = [f"{word}_kind"] + (["magpie", *(f"bird{chr(97 + i)}" for i in range(20))] if word == "bird" else [])
        root, kinds = f"{n:05d}000", [f"{n:05d}{i:03d}" for i in range(1, len(names) + 1)]
        pointers = " ".join(f"~ {kind} n 0000" for kind in kinds)
        data.append(f"{root} 05 n 01 {word} 0 {len(kinds):03d} {pointers} | a thing of the sort that is named here")
        data += [
            f"{kind} 05 n 01 {name} 0 000 | a kind of thing called {name} here"
            for kind, name in zip(kinds, names, strict=True)
        ]
        index.append(f"{word} n {n_senses} 1 ~ {n_senses} 0 {' '.join([root] * n_senses)}")
    (folder / "data.noun").write_text("\n".join(data) + "\n", "latin-1")
    (folder / "index.noun").write_text("\n".join(index) + "\n", "latin-1")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("packages")
    for manual in (*MANUALS, *TUTORIALS):
        folder = root / manual.package / manual.folder / ("d0/d1" if manual in TUTORIALS else "")
        (folder / "images").mkdir(parents=True)
        for i in range(N_PAGES):
            (folder / f"tutorial_{i}.html").write_text(f'<p>Page {i} shows a tool.</p><img src="images/{i}.png">')
            (folder / "images" / f"{i}.png").write_bytes(png(i))
        (folder / "images" / "unused.png").write_bytes(png(99))
    stamps = root / "tuxpaint-stamps-default/usr/share/tuxpaint/stamps"
    for i, (name, alt) in enumerate(sorted(STAMPS.items())):
        path = stamps / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(i))
        path.with_suffix(".txt").write_text(f"{alt}\nde.utf8=Etwas.\n", "utf-8")
    (stamps / "animals/birds/drawn.svg").touch()
    write_wordnet(root / "wordnet-base/usr/share/wordnet")
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pages_of(folder: Path) -> set[str]:
    """The documents of an input: members of bundles, URLs of rows."""
    found: set[str] = set()
    for path in folder.rglob("*.zip"):
        with zipfile.ZipFile(path) as bundle:
            found |= {f"{path.name}/{name}" for name in bundle.namelist() if name.endswith(".html")}
    for path in folder.rglob("*.parquet"):
        found |= {json.loads(text)["url"] for text in pq.read_table(path).column("general_metadata").to_pylist()}
    return found


def test_every_day_has_both_sources_and_the_second_a_quarter(cache: Path, tmp_path: Path) -> None:
    made = make_demo_input(tmp_path / "raw", cache, documents=24)
    assert made.n_documents == 24
    assert made.files[0] == f"{DAYS[0]}/dictionary/pages.parquet"
    folders = {tuple(name.split("/")[:2]) for name in made.files}
    assert folders == {(day, source) for day in DAYS for source in ("manuals", "dictionary")}
    first, second = (pages_of(tmp_path / "raw" / day) for day in DAYS)
    assert (len(first), len(second)) == (18, 6)
    assert not first & second


def test_a_bundle_holds_its_pages_and_the_images_they_show(cache: Path, tmp_path: Path) -> None:
    make_demo_input(tmp_path / "raw", cache, documents=24)
    bundles = sorted((tmp_path / "raw").rglob("*.zip"))
    assert bundles
    for path in bundles:
        with zipfile.ZipFile(path) as bundle:
            pages = [name for name in bundle.namelist() if name.endswith(".html")]
            images = [name for name in bundle.namelist() if name.endswith(".png")]
            numbers = [page.removeprefix("tutorial_").removesuffix(".html") for page in pages]
            assert sorted(images) == sorted(f"images/{number}.png" for number in numbers)


def test_the_same_packages_give_the_same_bytes(cache: Path, tmp_path: Path) -> None:
    make_demo_input(tmp_path / "one", cache, documents=30)
    make_demo_input(tmp_path / "two", cache, documents=30)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_second_call_reuses_and_another_size_or_a_lost_file_makes_it_anew(cache: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    first = make_demo_input(raw, cache, documents=24)
    inode = (raw / first.files[0]).stat().st_ino
    assert make_demo_input(raw, cache, documents=24) == first
    assert (raw / first.files[0]).stat().st_ino == inode
    before = contents(raw)
    (raw / first.files[0]).write_bytes(b"broken")
    assert make_demo_input(raw, cache, documents=24) == first
    assert contents(raw) == before
    small = pages_of(raw)
    assert make_demo_input(raw, cache, documents=30).n_documents == 30
    assert small < pages_of(raw)


def test_all_takes_every_page_and_the_tutorials_too(cache: Path, tmp_path: Path) -> None:
    made = make_demo_input(tmp_path / "raw", cache, documents="all")
    assert f"{DAYS[0]}/manuals/opencv-doc.zip" in made.files
    n_dictionary = len(compose_pages({package: cache / package for package in PACKAGES}))
    assert made.n_documents == 3 * N_PAGES + n_dictionary == len(pages_of(tmp_path / "raw"))


def test_too_few_documents_and_a_folder_of_something_else_are_refused(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="at least 4"):
        make_demo_input(tmp_path / "raw", cache, documents=3)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(PermanentError, match="no demo input"):
        make_demo_input(tmp_path / "mine", cache, documents=8)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_dictionary_rows_are_obelics_rows(cache: Path, tmp_path: Path) -> None:
    make_demo_input(tmp_path / "raw", cache, documents="all")
    rows = [row for path in sorted((tmp_path / "raw").rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    pictures: dict[str, bytes] = {}
    for row in rows:
        metadata = json.loads(row["metadata"])
        assert len(row["images"]) == len(row["texts"]) == len(metadata)
        for image, text, node in zip(row["images"], row["texts"], metadata, strict=True):
            assert (image is None) != (text is None)
            assert (node is None) == (image is None)
            if image:
                pictures[node["src"].split("/stamps/")[1]] = image
                assert node["alt_text"] == STAMPS[node["src"].split("/stamps/")[1].removesuffix(".png")]
    stamps = cache / "tuxpaint-stamps-default/usr/share/tuxpaint/stamps"
    assert pictures == {f"{name}.png": (stamps / f"{name}.png").read_bytes() for name in STAMPS if "mirror" not in name}


def test_a_subject_has_pages_with_its_own_pictures_among_definitions(cache: Path) -> None:
    pages = {page.name: page for page in compose_pages({package: cache / package for package in PACKAGES})}
    fruit = [page for name, page in pages.items() if name.startswith("dictionary/fruit-and-nuts/")]
    assert [sum(not isinstance(node, str) for node in page.nodes) for page in fruit] == [4, 4, 4]
    birds = pages["dictionary/birds/1"].nodes
    texts = [node for node in birds if isinstance(node, str)]
    assert "A magpie is a kind of thing called magpie here." in " ".join(texts)
    assert {node.name for node in birds if not isinstance(node, str)} == {"animals/birds/magpie.png"}
    assert len(texts) > 5
    folders = {node.name: name for name, page in pages.items() for node in page.nodes if not isinstance(node, str)}
    assert folders["military/vehicles/tank.png"] == "dictionary/vehicles/1"
    assert folders["military/cannon.png"] == "dictionary/tools/1"


@pytest.mark.parametrize(("n_wanted", "expected"), [(2, (1, 1)), (40, (30, 10)), (1000, (161, 39))])
def test_a_choice_gives_the_second_day_a_quarter(n_wanted: int, expected: tuple[int, int]) -> None:
    items = [Named(f"manuals/{i}") for i in range(200)]
    first, second = choose(items, n_wanted)
    assert (len(first), len(second)) == expected
    assert choose(reversed(items), n_wanted) == (first, second)


def test_a_larger_choice_contains_the_smaller_one_day_by_day() -> None:
    items = [Named(f"manuals/{i}") for i in range(200)]
    for small, large in zip(choose(items, 40), choose(items, 80), strict=True):
        assert set(small) < set(large)
