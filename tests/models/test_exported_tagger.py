"""A tagger out of files: a small network of our own, exported as RAM++ would be, tells colours."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from realsyn_ops.errors import PermanentError
from realsyn_ops.kinds import Tagger
from realsyn_ops.models.load import load_tagger
from realsyn_ops.models.tagger import base_tags

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
BATCH, SIDE = 4, 16


class Colours(torch.nn.Module):
    """How much of each colour there is, by the mean of its channel."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(3.0))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.scale * pictures.mean(dim=(2, 3)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    program = torch.export.export(Colours().eval(), (torch.zeros(BATCH, 3, SIDE, SIDE),))
    torch.export.save(program, tmp_path / "model.pt2")
    (tmp_path / "tags.txt").write_text("\n".join(COLOURS))
    return tmp_path


def load(folder: Path) -> Tagger:
    return load_tagger(f"exported:{folder}", encoder=None, device="cpu", threads=1, models_path=folder)


def tags(folder: Path, *colours: tuple[int, int, int]) -> list[list[str]]:
    pictures = [Image.new("RGB", (40, 24), colour) for colour in colours]
    return load(folder).tag(pictures, np.zeros((len(pictures), 1), np.float32))


def test_images_get_the_tags_that_reach_their_thresholds_likeliest_first(folder: Path) -> None:
    asked = [*COLOURS.values(), (255, 255, 0), (255, 200, 0), (0, 0, 0)]  # more than a batch
    assert tags(folder, *asked) == [["red"], ["green"], ["blue"], ["green", "red"], ["red", "green"], []]
    assert tags(folder) == []


def test_what_an_image_gets_does_not_depend_on_the_images_beside_it(folder: Path) -> None:
    together = tags(folder, *COLOURS.values(), (255, 200, 0))
    assert together == [tags(folder, colour)[0] for colour in (*COLOURS.values(), (255, 200, 0))]


def test_each_tag_may_have_a_threshold_of_its_own(folder: Path) -> None:
    (folder / "thresholds.txt").write_text("0.5\n0.99999\n0.5\n")
    assert tags(folder, (255, 255, 0)) == [["red"]]


def test_it_is_known_by_its_files(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = load(folder).name
    other = tmp_path_factory.mktemp("other") / folder.name
    other.mkdir()
    for file in folder.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    assert load(other).name == before
    (other / "thresholds.txt").write_text("0.5 0.5 0.5")
    load_tagger.cache_clear()  # type: ignore[attr-defined]
    assert load(other).name != before


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("thresholds.txt", "0.5\n0.5\n", "holds 2 numbers for 3 tags"),
        ("thresholds.txt", "0.5\nhalf\n0.5", "a number a line is wanted"),
        ("tags.txt", "red\n", "holds 1 tags"),
        ("tags.txt", "red\ngreen\nblue\ncyan\n", "3 outputs for 4 tags"),
        ("model.pt2", "no program", "model.pt2 is no exported program"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(folder: Path, name: str, text: str, words: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(PermanentError, match=words):
        tags(folder, (255, 0, 0))


def test_a_missing_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="nowhere"):
        load(tmp_path / "nowhere")


def test_its_list_is_what_mining_extends(folder: Path) -> None:
    assert base_tags(f"exported:{folder}") == tuple(COLOURS)
