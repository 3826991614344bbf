"""A day of hostile documents on real Airflow: each ends as rejects with reasons, the rest of the day is published."""

import io
import random
import struct
import zipfile
import zlib

import pytest
from PIL import Image

from realsyn_ops.cli.chain import Chain
from realsyn_ops.io.corpus import Corpus
from tests.flow.harness import Demo

DAY = "2025-02-21"
SUBJECTS = ("heron", "kestrel", "lapwing", "oriole", "plover", "swallow")

pytestmark = pytest.mark.timeout(1500)


def jpeg(seed: int, side: int = 160) -> bytes:
    """A picture of coloured patches, another one for each seed."""
    small = Image.frombytes("RGB", (8, 8), random.Random(seed).randbytes(192))
    content = io.BytesIO()
    small.resize((side, side), Image.Resampling.NEAREST).save(content, "JPEG", quality=92)
    return content.getvalue()


def two_gigapixel_png() -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 50_000, 40_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def hostile_bundle() -> bytes:
    text = (
        "<p>A {0} is a bird that lives near the water and eats small fish. The young {0} learns to fly within a few "
        "weeks of summer.</p><p>People in the village watch the {0} when it returns from the south in spring.</p>"
    )
    members: dict[str, bytes] = {
        f"good-{name}.html": f"<h1>{name}</h1>{text.format(name)}<img src='{name}.jpg' alt='{name}'>".encode()
        for name in SUBJECTS
    }
    members |= {f"{name}.jpg": jpeg(i) for i, name in enumerate(SUBJECTS)}
    members |= {
        "broken.html": b"<html><p>Unclosed <b>tags <table><tr><td>everywhere in this page &#xFFFFFFFF; <img src=",
        "truncated.html": b"<p>A truncated picture stands in this page.</p><img src='truncated.jpg'>",
        "truncated.jpg": jpeg(99)[:700],
        "giant.html": b"<p>A picture of two gigapixels stands in this page.</p><img src='giant.png'>",
        "giant.png": two_gigapixel_png(),
        "escape.html": b"<p>This page wants a file of the machine.</p><img src='../../../etc/passwd'>",
        "empty.html": b"",
        "many.html": b"<p>Very many pictures.</p>" + b"<img src='heron.jpg'>" * 10_000,
        "wordless.html": b"<img src='oriole.jpg'>",
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as bundle:
        for name, data in members.items():
            bundle.writestr(name, data)
    return content.getvalue()


def test_a_hostile_day_is_published_without_what_is_broken(demo: Demo) -> None:
    demo.stack.bucket.put(f"raw/{DAY}/hostile/pages.zip", hostile_bundle())
    chain = Chain(demo.api, lambda progress: None)
    chain.run_day(DAY)
    assert chain.n_retried == 0
    corpus = Corpus(demo.stack.bucket)
    rejects = {(r["record"], r["reason"]) for r in corpus.read("rejects", ["record", "reason"], day=DAY).to_pylist()}
    assert {
        ("truncated.html", "image_broken"),
        ("giant.html", "image_too_many_pixels"),
        ("escape.html", "image_outside_bundle"),
        ("empty.html", "empty_document"),
        ("many.html", "too_many_nodes"),
    } <= rejects
    kept = set(corpus.read("documents", ["record"], day=DAY)["record"].to_pylist())
    assert {f"good-{name}.html" for name in SUBJECTS} <= kept
    assert {"broken.html", "wordless.html", "truncated.html"} <= kept
    assert len(corpus.read("images", ["key"], day=DAY)) == len(SUBJECTS)
    assert len(corpus.read("sentences", ["key"], day=DAY)) >= 3 * len(SUBJECTS)
