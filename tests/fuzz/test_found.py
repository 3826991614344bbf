"""Inputs that once broke a reader or an image decoder, and arbitrary ones near to valid files: none may again.

Longer: REALSYN_FUZZ=100 multiplies the examples; the fuzzers beside this file are guided by coverage.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.reading import WRAPPINGS, read_all, seeds, wrapped

FOUND = Path(__file__).parent / "found"
SEEDS = seeds()
FUZZ = settings(
    max_examples=150 * int(os.environ.get("REALSYN_FUZZ", "1")),
    deadline=None,
    derandomize="REALSYN_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
    database=None,
)


_AGAIN = """
import pathlib, sys
from realsyn_ops.image_codec import read_image
from tests.fuzz.reading import read_all, wrapped
data = pathlib.Path(sys.argv[1]).read_bytes()
assert read_image(data, max_pixels=1_000_000) if "/images/" in sys.argv[1] else read_all(wrapped(data))
"""


@pytest.mark.parametrize("path", sorted(FOUND.glob("*/*")), ids=lambda path: path.name)
def test_a_found_input_is_read_to_its_end(path: Path) -> None:
    # In a process of its own: what was found may end the one that reads it.
    done = subprocess.run([sys.executable, "-c", _AGAIN, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@FUZZ
@given(st.integers(0, len(WRAPPINGS) - 1), st.binary(max_size=2_000))
def test_any_bytes_in_any_wrapping_give_documents_or_rejects(place: int, data: bytes) -> None:
    assert read_all(wrapped(bytes([place]) + data))


@FUZZ
@pytest.mark.parametrize("name", SEEDS)
@given(
    st.integers(0, len(WRAPPINGS) - 1),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.binary(max_size=12)), min_size=1, max_size=4),
    st.floats(0, 1),
)
def test_a_valid_file_cut_and_overwritten_gives_documents_or_rejects(
    name: str, place: int, edits: list[tuple[float, int, bytes]], end: float
) -> None:
    data = bytearray(SEEDS[name])
    for share, n_bytes, new in edits:
        start = int(share * len(data))
        data[start : start + n_bytes] = new
    if end < 0.3:
        del data[int(end / 0.3 * len(data)) :]
    assert read_all(wrapped(bytes([place % 2 * place]) + bytes(data)))
