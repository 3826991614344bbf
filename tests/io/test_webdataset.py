import argparse
import functools
import inspect
import io
import json
import tarfile
from pathlib import Path

import open_clip_train.data
import pytest
import torch
import webdataset
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor

from realsyn_ops.errors import PermanentError
from realsyn_ops.io.webdataset import Sample, write_tar

N_SAMPLES = 10


def jpg(shade: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (32, 24), (shade, shade, shade)).save(content, "JPEG", quality=95)
    return content.getvalue()


def samples() -> list[Sample]:
    return [
        Sample(f"i{n:032x}", jpg(20 * n), f"Text {n} — naïve.", {"text3": "c", "text2": f"Zwei {n}", "syn_text": "s"})
        for n in range(N_SAMPLES)
    ]


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    path = tmp_path / "00000.tar"
    path.write_bytes(write_tar(samples()))
    return path


def test_the_same_samples_give_the_same_bytes_whatever_the_order_of_fields() -> None:
    turned = [Sample(s.key, s.jpg, s.txt, dict(reversed(s.json.items()))) for s in samples()]
    assert write_tar(turned) == write_tar(iter(samples()))


def test_members_have_no_clock_and_no_owner(tar: Path) -> None:
    with tarfile.open(tar) as archive:
        members = archive.getmembers()
    assert [member.name for member in members[:3]] == [f"i{0:032x}.{suffix}" for suffix in ("jpg", "json", "txt")]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}


def test_webdataset_reads_back_what_was_written(tar: Path) -> None:
    read = list(webdataset.WebDataset(str(tar), shardshuffle=False))
    assert [(s["__key__"], s["jpg"], s["txt"].decode(), json.loads(s["json"])) for s in read] == [
        (s.key, s.jpg, s.txt, s.json) for s in samples()
    ]


def read_with_open_clip(tar: Path, *, is_train: bool) -> dict[int, int]:
    """What a loader of open_clip gives: the number in each text -> the shade of its image."""
    args = argparse.Namespace(
        train_data=str(tar),
        val_data=str(tar),
        train_num_samples=N_SAMPLES,
        val_num_samples=N_SAMPLES,
        train_data_upsampling_factors=None,
        dataset_resampled=False,
        seed=0,
        workers=1,
        world_size=1,
        batch_size=5,
    )

    def tokenize(text: str) -> torch.Tensor:
        return torch.tensor([[int(text.split()[1])]])

    loaded = open_clip_train.data.get_wds_dataset(args, pil_to_tensor, is_train=is_train, tokenizer=tokenize)
    loaded.dataloader.pipeline[0].num_workers = 0
    batches = list(loaded.dataloader)
    assert [batch[0].shape for batch in batches] == [(5, 3, 24, 32)] * 2
    pairs = [pair for images, texts in batches for pair in zip(images, texts, strict=True)]
    return {int(text): int(image[0, 0, 0]) for image, text in pairs}


def test_the_validation_loader_of_open_clip_reads_images_and_texts(tar: Path) -> None:
    assert read_with_open_clip(tar, is_train=False) == pytest.approx({n: 20 * n for n in range(N_SAMPLES)}, abs=2)


def test_the_training_loader_of_open_clip_reads_images_and_texts(tar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expander = open_clip_train.data.tar_file_expander
    if "eof_value" in inspect.signature(expander).parameters:
        # open_clip 3.3 asks for webdataset <= 0.2.86; a later one marks a shard's end, on which open_clip trips
        # whatever the tar holds, unless told not to (webdataset issue 384).
        monkeypatch.setattr(open_clip_train.data, "tar_file_expander", functools.partial(expander, eof_value=None))
    assert read_with_open_clip(tar, is_train=True) == pytest.approx({n: 20 * n for n in range(N_SAMPLES)}, abs=2)


@pytest.mark.parametrize("keys", [["a", "b", "a"], ["a.b"], ["a/b"], [""], ["é"]])
def test_a_key_that_would_mix_samples_up_is_refused(keys: list[str]) -> None:
    with pytest.raises(PermanentError, match="occur once"):
        write_tar([Sample(key, b"", "", {}) for key in keys])
