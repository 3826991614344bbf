"""A small CLIP trained and evaluated: the paper's schedule and optimiser, the same weights again, what it learns."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from open_clip.model import CLIP
from PIL import Image
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from realsyn_ops.errors import PermanentError
from realsyn_ops.models import clip_training
from realsyn_ops.models.clip_metrics import Evaluation
from realsyn_ops.models.clip_training import Batch, Trained, train
from realsyn_ops.models.load import load_trainee
from realsyn_ops.models.trainees import FrozenFeatures, Pixels

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 40), "blue": (20, 40, 220), "white": (240, 240, 240),
           "black": (10, 10, 10), "yellow": (230, 220, 20)}  # fmt: skip


class Colours:
    """An encoder whose vectors among images are mean colours and their negatives: a real one is tested elsewhere."""

    name, dim, visual_dim = "colours", 6, 6

    def encode_images(self, images: "list[Picture]") -> tuple[np.ndarray, np.ndarray]:
        rows = np.array([np.asarray(image.convert("RGB"), np.float32).mean(axis=(0, 1)) / 255 for image in images])
        both = np.concatenate([rows, 1 - rows], axis=1)
        return both, both

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        raise NotImplementedError


def picture(colour: str, seed: int) -> "Picture":
    noise = np.random.default_rng(seed).integers(-15, 16, (32, 32, 3))
    return Image.fromarray(np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8))


def batches(trainee: FrozenFeatures | Pixels, n: int) -> Iterator[Batch]:
    names = list(COLOURS)
    for step in range(n):
        drawn = np.random.default_rng(step).permutation(names).tolist()
        yield (
            trainee.look([picture(colour, 100 * step + i) for i, colour in enumerate(drawn)]),
            [f"a wall painted {colour}" for colour in drawn],
        )


def trained(n_steps: int) -> tuple[FrozenFeatures, CLIP, Trained]:
    trainee = FrozenFeatures(Colours(), "cpu")
    model = trainee.fresh(3)
    return trainee, model, train(model, trainee.tokenize, batches(trainee, n_steps), n_steps=n_steps, device="cpu")


def test_learning_rates_are_those_of_torchs_one_cycle_and_the_betas_stay() -> None:
    n = 40
    one = torch.nn.Parameter(torch.zeros(1))
    optimizer = AdamW([one], lr=1e-3)
    schedule = OneCycleLR(optimizer, 1e-3, total_steps=n, pct_start=0.1)
    wanted = []
    for _ in range(n):
        wanted.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step() if len(wanted) < n else None
    assert trained(n)[2].rates == pytest.approx(wanted)
    assert max(wanted) == pytest.approx(1e-3)
    own, own_schedule = clip_training._optimizer(FrozenFeatures(Colours(), "cpu").fresh(1), n)
    for _ in range(10):
        own.step()
        own_schedule.step()
    assert {group["betas"] for group in own.param_groups} == {(0.9, 0.98)}
    assert {group["eps"] for group in own.param_groups} == {1e-6}
    assert [group["weight_decay"] for group in own.param_groups] == [0.2, 0.0]


def test_the_temperature_begins_where_the_papers_does() -> None:
    for trainee in (FrozenFeatures(Colours(), "cpu"), Pixels("tiny", "cpu")):
        assert float((-trainee.fresh(1).logit_scale.detach()).exp()) == pytest.approx(0.07)


def test_the_same_seed_and_batches_give_the_same_weights() -> None:
    first, again = trained(20)[1].state_dict(), trained(20)[1].state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = FrozenFeatures(Colours(), "cpu").fresh(4).state_dict()
    assert not torch.equal(FrozenFeatures(Colours(), "cpu").fresh(3).state_dict()["visual.project.weight"],
                           other["visual.project.weight"])  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Both kinds of sets of the same pictures, in clip-benchmark's layout."""
    shown = [(colour, picture(colour, 9_000 + i)) for i, colour in enumerate([*COLOURS] * 4)]
    for kind in ("classification", "retrieval"):
        (tmp_path / kind / "test").mkdir(parents=True)
        (tmp_path / kind / "test" / "nshards.txt").write_text("1")
        with tarfile.open(tmp_path / kind / "test" / "0.tar", "w") as tar:
            for number, (colour, image) in enumerate(shown):
                content = io.BytesIO()
                image.save(content, "PNG")
                said = str([*COLOURS].index(colour)) if kind == "classification" else f"a wall painted {colour}"
                for name, data in (("png", content.getvalue()), ("cls" if said.isdigit() else "txt", said.encode())):
                    member = tarfile.TarInfo(f"{number:04d}.{name}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    (tmp_path / "retrieval" / "dataset_type.txt").write_text("retrieval")
    (tmp_path / "classification" / "classnames.txt").write_text("\n".join(COLOURS))
    (tmp_path / "classification" / "zeroshot_classification_templates.txt").write_text("a wall painted {c}")
    return tmp_path


@pytest.mark.parametrize("memory_bytes", [2**30, 0], ids=["kept", "read again"])
def test_clip_benchmark_finds_that_a_trained_model_knows_its_colours(folder: Path, memory_bytes: int) -> None:
    trainee, model, told = trained(50)
    assert np.mean(told.losses[-5:]) < 0.7 * told.losses[0]
    classes = Evaluation(folder / "classification", "classification", trainee.look, memory_bytes=memory_bytes)
    assert classes.facts == {"n_images": 24, "n_classes": 6}
    found = classes.scores(model, trainee.tokenize, "cpu")
    assert found["acc1"] >= 0.9
    assert set(found) == {"acc1", "acc5", "mean_per_class_recall"}
    lines = Evaluation(folder / "retrieval", "retrieval", trainee.look, memory_bytes=memory_bytes)
    assert lines.facts == {"n_images": 24, "n_texts": 24}
    untrained = lines.scores(trainee.fresh(9), trainee.tokenize, "cpu")
    assert lines.scores(model, trainee.tokenize, "cpu")["image_retrieval_recall@5"] > (
        untrained["image_retrieval_recall@5"] + 0.3
    )


def test_a_tiny_model_learns_from_pixels() -> None:
    trainee = load_trainee("tiny", encoder="demo", device="cpu", threads=1, models_path=Path())
    assert trainee.side_px == 64
    model = trainee.fresh(1)
    told = train(model, trainee.tokenize, batches(trainee, 24), n_steps=24, device="cpu")
    assert np.mean(told.losses[-4:]) < told.losses[0]


def test_a_model_of_open_clips_is_taken_by_name_and_others_are_refused() -> None:
    trainee = Pixels("ViT-B-32", "cpu")
    assert trainee.side_px == 224
    assert trainee.look([picture("red", 1)]).shape == (1, 3, 224, 224)
    assert trainee.tokenize(["a wall"]).shape == (1, 77)
    for spec in ("open_clip:no-such-model", "open_clip:roberta-ViT-B-32", "small"):
        with pytest.raises(PermanentError, match=spec.removeprefix("open_clip:")):
            load_trainee(spec, encoder="demo", device="cpu", threads=1, models_path=Path())
