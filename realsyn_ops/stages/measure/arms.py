"""The arms: which texts each gives an image. Those of the paper's ablations are columns of the release."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from realsyn_ops.plans import ARMS as ARMS

BASE = "three_and_synthetic"
"""The release as the paper trains on it: what the others are compared with."""
_OF_RELEASE = {
    "one_realistic": ("text1",),
    "three_realistic": ("text1", "text2", "text3"),
    "synthetic": ("syn_text",),
    BASE: ("text1", "text2", "text3", "syn_text"),
    "random": ("text1", "text2", "text3", "syn_text"),
}
DOCUMENT_ARMS = ("alt", "same_document")
"""Texts of the place where an image of the release stands, which the release itself does not keep."""


def release_texts(arm: str, row: Mapping[str, Any]) -> list[str]:
    """The texts of a release's row that an arm draws from."""
    return [row[name] for name in _OF_RELEASE[arm]]


def nearest_sentences(images: pd.DataFrame, sentences: pd.DataFrame) -> dict[str, str]:
    """The sentence that stands nearest to each image in its document; images of documents without one are left out.

    ``images`` has ``key, document_key, node``, ``sentences`` the same and ``position``, their order within a node. Of
    two that are equally near the one before the image is taken: the end of its paragraph.
    """
    left = images.sort_values(["node", "key"], kind="stable")
    right = sentences.sort_values(["node", "position"], kind="stable").rename(columns={"key": "sentence"})
    found = pd.merge_asof(left, right, on="node", by="document_key", direction="nearest").dropna(subset=["sentence"])
    return dict(zip(found["key"], found["sentence"], strict=True))
