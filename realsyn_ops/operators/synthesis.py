"""The task of `pair_texts` that writes the synthetic text: caption, tags, an LLM's merge behind the grounding gate."""

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from realsyn_ops.image_header import DECODED_SIDE_PX
from realsyn_ops.operators.places import with_models
from realsyn_ops.operators.retrieval import COLLECT, SYNTHESIZE
from realsyn_ops.operators.rewriting import open_rewriter, write_captions, write_texts
from realsyn_ops.operators.run import Work, by_reason, captioner_key, digest, resolved_preset, rewriter_key
from realsyn_ops.operators.search import paired_rows
from realsyn_ops.operators.shard_steps import shard_step
from realsyn_ops.operators.tag_lists import mined_tags
from realsyn_ops.plans import PairPlan
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    from realsyn_ops.io.shards import Staging
    from realsyn_ops.io.storage import Bucket
    from realsyn_ops.operators.answering import Paid
    from realsyn_ops.stages.synthesize import Synthesis


@shard_step(SYNTHESIZE, place=with_models(), api_key=rewriter_key, captioner_api_key=captioner_key)
def synthesize(staging: "Staging", work: Work, *, api_key: str, captioner_api_key: str) -> dict[str, Any]:
    """Caption, tag and rewrite a shard of images; answers already known are not asked for again."""
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.image_codec import decode_image
    from realsyn_ops.io import schemas
    from realsyn_ops.io.answers import Batch
    from realsyn_ops.kinds import Merge
    from realsyn_ops.models.load import load_captioner, load_encoder, load_tagger

    chosen = PairPlan.from_json(staging.plan_json())
    mine = set(json.loads(staging.get(f"shards-{work['retrieved']}.json"))[work["shard"]])
    retrieved = staging.read_shard(COLLECT, work["retrieved"], "texts").to_pylist()
    rows = [row for row in retrieved if row["key"] in mine]
    asked = [row for row in rows if row["reason"] is None]
    made: list[Synthesis] = []
    paid: list[tuple[str, Paid]] = []
    if asked:
        where: dict[str, Any] = {
            "device": settings().device,
            "threads": settings().threads,
            "models_path": settings().models_path,
        }
        models = resolved_preset(chosen)
        encoder = load_encoder(models.encoder, **where)
        data = image_bytes(staging.bucket, asked)
        pictures = [decode_image(data[row["key"]], max_side=DECODED_SIDE_PX) for row in asked]
        images, _ = paired_rows(staging)
        vectors = images.vectors(images.positions([row["key"] for row in asked]))
        listed = mined_tags(staging.bucket, models.tagger)
        tags = load_tagger(models.tagger, encoder=encoder, tags=listed, **where).tag(pictures, vectors)
        batch = Batch(staging.bucket, asked[0]["day"], digest(sorted(row["key"] for row in asked)))
        captioner = load_captioner(models.captioner, api_key=captioner_api_key, **where)
        captions, of_captioner = write_captions(batch, captioner, pictures, tags)
        merges = [
            Merge(row["texts"][0], caption, tuple(of_image))
            for row, caption, of_image in zip(asked, captions, tags, strict=True)
        ]
        rewriter = open_rewriter(models.rewriter, api_key=api_key, **where)
        limits = {"max_words": chosen.max_synthetic_words, "max_synonyms": chosen.max_synonyms}
        made, of_rewriter = write_texts(batch, rewriter, merges, **limits)
        paid = [*((captioner.name, some) for some in of_captioner), *((rewriter.name, some) for some in of_rewriter)]
        similarities = np.einsum("ij,ij->i", vectors, encoder.encode_texts([m.text for m in made])).round(5)
        for row, caption, of_image, synthesis, similarity in zip(
            asked, captions, tags, made, similarities.tolist(), strict=True
        ):
            row |= {
                "caption": caption,
                "tags": of_image,
                "syn_text": synthesis.text,
                "syn_origin": synthesis.origin,
                "syn_reason": synthesis.reason or None,
                "syn_similarity": similarity,
            }
    answers = sorted((row for _, some in paid for row in some.rows.values()), key=lambda row: row["key"])
    tables = {
        "pairs": pa.Table.from_pylist(rows, schema=schemas.PAIRS),
        "answers": pa.Table.from_pylist(answers, schema=schemas.ANSWERS),
    }
    refused = Counter(synthesis.reason for synthesis in made if synthesis.reason)
    counts = by_reason("synthetic_texts", len(made), len(made) - refused.total(), refused)
    staging.write(SYNTHESIZE, work["shard"], tables, {"calls": len(answers), "images": len(rows), **counts})
    if asked:
        batch.compact()
    return {"spent": [{"model": name, **asdict(some.spent)} for name, some in paid]}


def image_bytes(bucket: "Bucket", rows: list[dict[str, Any]]) -> dict[str, bytes]:
    """The encoded images of rows with key and day, by key."""
    from realsyn_ops.io.corpus import Corpus

    found: dict[str, bytes] = {}
    for day in sorted({row["day"] for row in rows}):
        listed = ", ".join(f"'{row['key']}'" for row in rows if row["day"] == day)
        table = Corpus(bucket).read("images", ["key", "data"], day=day, where=f"key IN ({listed})")
        found |= dict(zip(table["key"].to_pylist(), table["data"].to_pylist(), strict=True))
    return found
