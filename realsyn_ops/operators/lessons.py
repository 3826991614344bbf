"""What a lesson is made of: a published pair's triple, and a teacher's answer that may be taught.

The tasks are in `teaching`.
"""

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from realsyn_ops.plans import TeachPlan

if TYPE_CHECKING:
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.shards import Staging
    from realsyn_ops.stages.teach import Lesson

DRAW, ASK = "draw", "ask"
TRIPLE = ["key", "day", "text_keys", "texts", "caption", "tags"]


def image_clusters(corpus: "Corpus", version: int) -> dict[str, int]:
    """The cluster of every image in force."""
    table = corpus.read("curated_images", ["key", "cluster"], where="reason IS NULL", version=version)
    return dict(zip(table["key"].to_pylist(), table["cluster"].to_pylist(), strict=True))


def triples_of(corpus: "Corpus", keys: list[str], version: int) -> list[dict[str, Any]]:
    """The drawn pairs' triples, in order of key: the best realistic text, the caption and the tags."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = corpus.read("pairs", TRIPLE, where="reason IS NULL", version=version)
    rows = table.filter(pc.is_in(table["key"], pa.array(keys, pa.string()))).to_pylist()
    return [
        {
            **{name: row[name] for name in ("key", "day", "caption", "tags")},
            "text_key": row["text_keys"][0],
            "text": text,
        }
        for row in rows
        for text in row["texts"][:1]
    ]


def identity(row: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([row["text"], row["caption"], row["tags"]]).encode()).hexdigest()


def accepted_lessons(staging: "Staging", chosen: TeachPlan) -> "tuple[list[Lesson], Counter[str], str]":
    """The lessons in order of key, how many answers were none and why, and the prompt's version."""
    from realsyn_ops.kinds import Merge, Question
    from realsyn_ops.models.prompt import VERSION, prompt_messages, question_messages
    from realsyn_ops.stages.synthesize import GroundingReason, spread_openings
    from realsyn_ops.stages.teach import Lesson, part_of

    answers = staging.read_all(ASK, "answers").to_pylist()
    refused = Counter(answer["reason"] for answer in answers if answer["reason"])
    texts = {answer["key"]: answer["answer"] for answer in answers if answer["answer"]}
    stays = spread_openings([*texts], [*texts.values()], max_share=chosen.max_opening_share, seed=chosen.seed)
    taught = {key for key, stay in zip(texts, stays, strict=True) if stay}
    refused += Counter({GroundingReason.BOILERPLATE: len(texts) - len(taught)})
    system = prompt_messages()[0]["content"]
    lessons = [
        Lesson(
            row["key"],
            part_of(row["text_key"], share=chosen.held_out_share, seed=chosen.seed),
            system,
            question_messages(Question(Merge(row["text"], row["caption"], tuple(row["tags"]))))[0]["content"],
            texts[row["key"]],
        )
        for row in staging.read_shard(DRAW, "all", "triples").to_pylist()
        if row["key"] in taught
    ]
    return lessons, refused, VERSION
