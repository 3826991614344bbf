"""The task of `pair_texts` that writes the synthetic text: caption, tags, an LLM's merge behind the grounding gate."""

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any

from realsyn_ops.operators.curation import DECODED_SIDE_PX
from realsyn_ops.operators.retrieval import COLLECT, SYNTHESIZE
from realsyn_ops.operators.run import Work, resolved_preset, rewriter_key
from realsyn_ops.operators.search import paired_rows
from realsyn_ops.operators.shard_steps import shard_step
from realsyn_ops.operators.tag_lists import mined_tags
from realsyn_ops.plans import PairPlan
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    from realsyn_ops.io.shards import Staging
    from realsyn_ops.io.storage import Bucket
    from realsyn_ops.kinds import Merge, Rewriter

log = logging.getLogger(__name__)


@shard_step(SYNTHESIZE, api_key=rewriter_key)
def synthesize(staging: "Staging", work: Work, *, api_key: str) -> None:
    """Caption, tag and rewrite a shard of images; answers already known are not asked for again."""
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.image_codec import decode_image
    from realsyn_ops.io import schemas
    from realsyn_ops.kinds import Merge
    from realsyn_ops.models.load import load_captioner, load_encoder, load_rewriter, load_tagger
    from realsyn_ops.stages import synthesize as stage

    chosen = PairPlan.from_json(staging.plan_json())
    mine = set(json.loads(staging.get(f"shards-{work['retrieved']}.json"))[work["shard"]])
    retrieved = staging.read_shard(COLLECT, work["retrieved"], "texts").to_pylist()
    rows = [row for row in retrieved if row["key"] in mine]
    asked = [row for row in rows if row["reason"] is None]
    answers: list[dict[str, Any]] = []
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
        captions = load_captioner(models.captioner, **where).caption(pictures, tags)
        merges = [
            Merge(row["texts"][0], caption, tuple(of_image))
            for row, caption, of_image in zip(asked, captions, tags, strict=True)
        ]
        rewriter = load_rewriter(models.rewriter, api_key=api_key, **where)
        texts, answers = _answers(staging, rewriter, merges, chosen.day)
        made = stage.synthesize(merges, texts, max_words=chosen.max_synthetic_words)
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
    tables = {
        "pairs": pa.Table.from_pylist(rows, schema=schemas.PAIRS),
        "answers": pa.Table.from_pylist(answers, schema=schemas.ANSWERS),
    }
    staging.write(SYNTHESIZE, work["shard"], tables, {"calls": len(answers), "images": len(rows)})
    log.info("shard %s: %d images, %d calls of the rewriter", work["shard"], len(rows), len(answers))


def _answers(
    staging: "Staging", rewriter: "Rewriter", merges: "list[Merge]", day: str
) -> tuple[list[str], list[dict[str, Any]]]:
    """The rewriter's answer to each merge, cached ones first, and the rows of those that were new."""
    from realsyn_ops.io.corpus import Corpus

    keys = ["p" + hashlib.sha256(rewriter.payload(merge).encode()).hexdigest()[:32] for merge in merges]
    corpus = Corpus(staging.bucket)
    known: dict[str, str] = {}
    if corpus.exists("answers"):
        listed = ", ".join(f"'{key}'" for key in sorted(set(keys)))
        table = corpus.read("answers", ["key", "answer"], where=f"key IN ({listed})")
        known = dict(zip(table["key"].to_pylist(), table["answer"].to_pylist(), strict=True))
    asked = {key: merge for key, merge in zip(keys, merges, strict=True) if key not in known}
    new = dict(zip(asked, rewriter.rewrite(list(asked.values())), strict=True)) if asked else {}
    rows = [{"key": key, "day": day, "model": rewriter.name, "answer": answer} for key, answer in sorted(new.items())]
    return [known.get(key, new.get(key, "")) for key in keys], rows


def image_bytes(bucket: "Bucket", rows: list[dict[str, Any]]) -> dict[str, bytes]:
    """The encoded images of rows with key and day, by key."""
    from realsyn_ops.io.corpus import Corpus

    found: dict[str, bytes] = {}
    for day in sorted({row["day"] for row in rows}):
        listed = ", ".join(f"'{row['key']}'" for row in rows if row["day"] == day)
        table = Corpus(bucket).read("images", ["key", "data"], day=day, where=f"key IN ({listed})")
        found |= dict(zip(table["key"].to_pylist(), table["data"].to_pylist(), strict=True))
    return found
