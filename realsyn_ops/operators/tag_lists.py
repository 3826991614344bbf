"""The lists of tags that a run may name: one mined from the corpus, by its version, or one that a tagger comes with."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realsyn_ops.io.storage import Bucket

MINED = "mined:"
"""How a tagger's name begins that scores a mined list; its version follows."""


def mined_tags(bucket: "Bucket", tagger: str) -> tuple[str, ...]:
    """The tags of the mined list that a tagger's name asks for; none for a tagger that comes with its own."""
    from realsyn_ops.io.tag_lists import read_tag_list

    return read_tag_list(bucket, tagger.removeprefix(MINED)).names if tagger.startswith(MINED) else ()


def base_list(bucket: "Bucket", tagger: str) -> tuple[str, ...]:
    """The tags that a tagger of this name scores: what mining extends."""
    from realsyn_ops.models.tagger import base_tags

    return mined_tags(bucket, tagger) or base_tags(tagger)


def listed_tagger(tagger: str, version: str) -> str:
    """The name of the tagger that scores this version of a mined list; the given one without a version."""
    return f"{MINED}{version}" if version else tagger
