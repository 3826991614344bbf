"""The forms of the trigger dialogue: a Param for each decision left to people, with default, range and meaning.

Defaults come from the plans, so the two never differ; a value that the form lets through is checked again by the plan.
"""

from dataclasses import fields
from typing import Any

from airflow.sdk import Param

from realsyn_ops.operators.history_params import HISTORY_FIELDS
from realsyn_ops.plans import (
    ARMS,
    BALANCES,
    ClusterPlan,
    CuratePlan,
    IngestPlan,
    MeasurePlan,
    MinePlan,
    PairPlan,
    Plan,
    ReleasePlan,
    TeachPlan,
)

_SHARE = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
_COUNT = {"type": "integer", "minimum": 1}
_COUNTS = {"type": "array", "items": _COUNT}
_COSINE = {"type": ["number", "null"], "minimum": -1, "maximum": 1}
_PRESET = {
    "type": ["string", "null"],
    "enum": [None, "demo", "clip", "paper"],
    "title": "Models",
    "description": "Which models to use. Empty: this deployment's setting REALSYN_PRESET.",
}
_REFIT = {"type": "boolean", "title": "New codebook"}
_SYNONYMS = {
    "type": "integer", "minimum": 0, "title": "Synonyms a synthetic text",
    "description": "So many of its words may be synonyms of its sources' instead of theirs.",
}  # fmt: skip
_SEED = {"type": "integer", "minimum": 0, "title": "Seed", "description": "Every random choice of the run follows it."}


def _form(plan: type[Plan], shape: dict[str, dict[str, Any]]) -> dict[str, Param]:
    defaults = {field.name: field.default for field in fields(plan)}
    defaults = {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}
    defaults |= {"preset": None, "teacher": "", "refit": False}  # the task makes something else of them
    return {name: Param(defaults[name], **schema) for name, schema in shape.items()}


INGEST = _form(
    IngestPlan,
    {
        "max_shard_documents": {
            **_COUNT, "title": "Documents a shard", "description": "Documents that one extract task reads.",
        },
        "max_shard_bytes": {
            **_COUNT, "title": "Bytes a shard", "description": "Raw bytes that one extract task reads, about.",
        },
        "fetch_images": {
            "type": "boolean", "title": "Fetch images",
            "description": "Fetch images that documents only name by URL. Otherwise they are rejects (image_remote).",
        },
        "refetch": {
            "type": "string", "enum": ["nothing", "failed", "all"], "title": "Fetch again",
            "description": "Of the URLs whose answer is known: ask for nothing again, for what failed, or ask all "
            "servers whether their images have changed.",
        },
        "max_nodes": {
            **_COUNT, "title": "Nodes a document", "description": "A document with more nodes is a reject.",
        },
        "max_document_bytes": {
            **_COUNT, "title": "Bytes a document", "description": "A larger page or record is a reject.",
        },
        "max_image_bytes": {**_COUNT, "title": "Bytes an image", "description": "A larger image is a reject."},
        "max_image_pixels": {
            **_COUNT, "title": "Pixels an image",
            "description": "An image whose header says more is a reject; it is never decoded.",
        },
        **HISTORY_FIELDS,
    },
)  # fmt: skip

CURATE = _form(
    CuratePlan,
    {
        "preset": _PRESET,
        "min_side_px": {
            **_COUNT, "title": "Shorter side (px)", "description": "Smaller images are rejects (the paper: 100).",
        },
        "max_aspect": {
            "type": "number", "minimum": 1, "title": "Aspect",
            "description": "Longer side over shorter; images above are rejects (the paper: 3).",
        },
        "max_hash_distance": {
            "type": "integer", "minimum": 0, "maximum": 16, "title": "Perceptual distance (bits)",
            "description": "Images whose 64-bit perceptual hashes differ by no more are duplicates.",
        },
        "min_visual_similarity": {
            **_SHARE, "title": "Near-duplicate similarity",
            "description": "Images with at least this cosine are duplicates (DanQing: 0.9; the paper names none).",
        },
        "max_source_loss": {
            **_SHARE, "title": "Alarm: loss of a source",
            "description": "The gate turns red when a source loses a larger share of its images.",
        },
        "max_group_share": {
            **_SHARE, "title": "Alarm: component",
            "description": "The gate turns red when linked near-duplicates hold a larger share of all images.",
        },
        "images_per_cluster": {
            **_COUNT, "title": "Images a cluster",
            "description": "Sets the number of image clusters when the codebook is fitted.",
        },
        "refit": {**_REFIT, "description": "Fit new image clusters on all days and compare all images anew."},
        "shard_images": {**_COUNT, "title": "Images a shard", "description": "Images that one embed task takes."},
        **HISTORY_FIELDS,
    },
)  # fmt: skip

CLUSTER = _form(
    ClusterPlan,
    {
        "preset": _PRESET,
        "min_words": {**_COUNT, "title": "Words, at least", "description": "The paper: 3."},
        "max_words": {**_COUNT, "title": "Words, at most", "description": "The paper: 81."},
        "drop_personal_data": {
            "type": "boolean", "title": "Drop personal data",
            "description": "Sentences with e-mail addresses, phone numbers or IP addresses are rejects.",
        },
        "language": {
            "type": "string", "pattern": "^([a-z]{2,3})?$", "title": "Language",
            "description": "As in en, de, fr. Empty: sentences of every language pass. Parser and perplexity model "
            "must know the language; the preset's know English.",
        },
        "min_language_score": {
            "type": "number", "minimum": 0, "maximum": 1, "title": "Language, at least",
            "description": "Probability of that language; sentences below go. Short ones score low in any language.",
        },
        "max_site_share": {
            **_SHARE, "title": "Boilerplate",
            "description": "A sentence on a larger share of its site's pages of the day goes. 1 keeps all.",
        },
        "min_site_pages": {
            **_COUNT, "title": "Boilerplate: pages of a site",
            "description": "Sites with fewer pages in the day have no boilerplate.",
        },
        "min_relations": {
            "type": "integer", "minimum": 0, "title": "Relations",
            "description": "Relations attached to objects in the parse (the paper: complexity C1, so 1).",
        },
        "min_actions": {"type": "integer", "minimum": 0, "title": "Actions", "description": "Verbs (the paper: 1)."},
        "min_entropy": {
            "type": "number", "minimum": 0, "title": "Entropy", "description": "Sentences below go (the paper: 0.3).",
        },
        "min_perplexity": {
            "type": "number", "minimum": 0, "title": "Perplexity, at least", "description": "The paper: 30.",
        },
        "max_perplexity": {
            "type": "number", "minimum": 0, "title": "Perplexity, at most", "description": "The paper: 200.",
        },
        "min_similarity": {
            **_SHARE, "title": "Near-duplicate similarity",
            "description": "Sentences with at least this cosine are duplicates. The paper names none.",
        },
        "min_jaccard": {
            **_SHARE, "title": "Near-duplicate letters",
            "description": "Sentences that share at least this part of their runs of five letters are duplicates.",
        },
        "max_source_loss": {
            **_SHARE, "title": "Alarm: loss of a source",
            "description": "The gate turns red when a source loses a larger share of its sentences.",
        },
        "max_group_share": {
            **_SHARE, "title": "Alarm: component",
            "description": "The gate turns red when linked near-duplicates hold a larger share of all sentences.",
        },
        "sentences_per_cluster": {
            **_COUNT, "title": "Sentences a cluster",
            "description": "Sets the number of clusters when the codebook is fitted (the paper: about 420).",
        },
        "refit": {
            **_REFIT,
            "description": "Fit new clusters on the sentences of all days, compare all sentences anew, and pair all "
            "images anew. Word counts stay as they are.",
        },
        "shard_sentences": {**_COUNT, "title": "Sentences a shard", "description": "Sentences that one task takes."},
        "seed": _SEED,
        **HISTORY_FIELDS,
    },
)  # fmt: skip

PAIR = _form(
    PairPlan,
    {
        "preset": _PRESET,
        "target_recall": {
            **_SHARE, "title": "Recall, at least",
            "description": "Share of an exact search's texts that must be found: decides how many clusters an image "
            "probes, and the gate turns red when a run stays below.",
        },
        "n_probes": {
            "type": "integer", "minimum": 0, "title": "Probes",
            "description": "Clusters searched for one image (the paper: 1). 0: as many as the recall needs.",
        },
        "own_document": {
            "type": "boolean", "title": "Texts of the image's own document",
            "description": "Off: a sentence that stands in a document with the image is none of its texts.",
        },
        "max_uses": {
            "type": "integer", "minimum": 0, "title": "Images a sentence",
            "description": "A sentence is a text of at most so many images, of those most like it. 0: no limit.",
        },
        "max_text_similarity": {
            **_SHARE, "title": "Distinct texts", "description": "Two texts of an image are no more alike than this.",
        },
        "max_synthetic_words": {
            "type": "integer", "minimum": 5, "title": "Words of a synthetic text", "description": "Longer ones go.",
        },
        "max_synonyms": _SYNONYMS,
        "max_fallback_share": {
            **_SHARE, "title": "Alarm: refused answers",
            "description": "The gate turns red when the grounding gate refuses a larger share of the rewriter's texts, "
            "asked for twice. A large model stays far below.",
        },
        "max_unanswered_share": {
            **_SHARE, "title": "Alarm: no answer",
            "description": "The gate turns red when the rewriter's endpoint leaves a larger share without an answer.",
        },
        "max_opening_share": {
            **_SHARE, "title": "Alarm: texts that begin alike",
            "description": "The gate turns red when a larger share of the rewriter's texts, 20 at least, begins with "
            "the same four words.",
        },
        "tag_list": {
            "type": "string", "pattern": "^([0-9a-f]{16})?$", "title": "List of tags",
            "description": "Version of a list that mine_tags made. Empty: the tagger's own list. Pairs made with "
            "another list are made anew.",
        },
        "search_images": {
            **_COUNT, "title": "Images a search", "description": "Images that one retrieve task takes.",
        },
        "shard_images": {**_COUNT, "title": "Images a shard", "description": "Images that one synthesize task takes."},
        **HISTORY_FIELDS,
    },
)  # fmt: skip

MINE = _form(
    MinePlan,
    {
        "preset": _PRESET,
        "size": {
            "type": "integer", "minimum": 2, "title": "Tags",
            "description": "Tags of the whole list, those of the tagger included (the paper: 8,000). Fewer where the "
            "corpus has fewer.",
        },
        "min_sentences": {
            **_COUNT, "title": "Sentences, at least", "description": "Phrases that fewer sentences have are no tags.",
        },
        "min_concreteness": {
            "type": "number", "minimum": 0, "maximum": 1, "title": "Concreteness, at least",
            "description": "As concrete as this quantile of the tagger's own tags, by how well images agree with it. "
            "0: as the least concrete one.",
        },
        "max_similarity": {
            **_SHARE, "title": "Distinct tags", "description": "Phrases with at least this cosine are near-duplicates.",
        },
        "top_images": {
            **_COUNT, "title": "Images that agree",
            "description": "Concreteness is the mean of so many images that are most like the phrase.",
        },
        "max_images": {
            **_COUNT, "title": "Images looked at", "description": "A sample of so many images tells concreteness.",
        },
        "shard_sentences": {**_COUNT, "title": "Sentences a shard", "description": "Sentences that one task parses."},
        "shard_phrases": {**_COUNT, "title": "Phrases a shard", "description": "Phrases that one task embeds."},
        "seed": _SEED,
    },
)  # fmt: skip

RELEASE = _form(
    ReleasePlan,
    {
        "size": {
            "type": "integer", "minimum": 0, "title": "Wanted pairs",
            "description": "The cap of each image cluster is solved for this size. 0: the share below.",
        },
        "scales": {
            **_COUNTS, "title": "Several sizes",
            "description": "In place of one size: nested ones, a smaller one within a larger. Shards come in their "
            "order, so that a smaller one is the first so many.",
        },
        "balance": {
            "type": "string", "enum": list(BALANCES), "title": "Balance",
            "description": "clusters: each image cluster gives as many pairs as the size needs. caps: as many as the "
            "caps below say, as in the paper. tags: counts of tags are balanced, as in MetaCLIP. uniform: none.",
        },
        "caps": {**_COUNTS, "title": "Fixed caps", "description": "For the balance caps: a scale each."},
        "share": {
            **_SHARE, "title": "Wanted share",
            "description": "Share of the pairs within the similarity bounds, when no size is wanted.",
        },
        "lower_quantile": {
            "type": "number", "minimum": 0, "exclusiveMaximum": 0.5, "title": "Lower similarity quantile",
            "description": "Pairs below this quantile of image/synthetic-text similarity mismatch.",
        },
        "upper_quantile": {
            "type": "number", "exclusiveMinimum": 0.5, "maximum": 1, "title": "Upper similarity quantile",
            "description": "Pairs above this quantile may read the text in the picture.",
        },
        "min_similarity": {
            **_COSINE, "title": "Lower similarity", "description": "A bound in place of the quantile.",
        },
        "max_similarity": {
            **_COSINE, "title": "Upper similarity", "description": "A bound in place of the quantile.",
        },
        "images_per_cluster": {
            **_COUNT, "title": "Images a cluster",
            "description": "Sets the number of image clusters when those of the balance are fitted (the paper: 168).",
        },
        "refit": {
            **_REFIT,
            "description": "Fit new image clusters for the balance: this release and those after it are drawn anew.",
        },
        "shard_pairs": {**_COUNT, "title": "Pairs a shard", "description": "Pairs in one parquet file and one tar."},
        "image_side_px": {
            "type": "integer", "minimum": 16, "title": "Image side (px)",
            "description": "Images in the tars are reduced to this shorter side (the handbook: 224).",
        },
        "seed": _SEED,
    },
)  # fmt: skip

TEACH = _form(
    TeachPlan,
    {
        "teacher": {
            "type": "string", "title": "Teacher",
            "description": "The model that answers, as http://host:8000/v1#model. Empty: this deployment's rewriter.",
        },
        "size": {**_COUNT, "title": "Triples", "description": "That the teacher is asked about (the paper: 100,000)."},
        "held_out_share": {
            **_SHARE, "exclusiveMaximum": 1, "title": "Held out",
            "description": "Share of the realistic texts whose lessons are for examining.",
        },
        "max_opening_share": {
            **_SHARE, "title": "Openings",
            "description": "No first four words begin a larger share of the lessons: a habit would be learnt.",
        },
        "min_accepted_share": {
            "type": "number", "minimum": 0, "maximum": 1, "title": "Accepted, at least",
            "description": "Nothing is published when the grounding gate accepts a smaller share of the answers.",
        },
        "max_synthetic_words": {
            "type": "integer", "minimum": 5, "title": "Words of an answer", "description": "Longer ones go.",
        },
        "max_synonyms": _SYNONYMS,
        "shard_triples": {**_COUNT, "title": "Triples a shard", "description": "Triples that one ask task takes."},
        "seed": _SEED,
    },
)  # fmt: skip

MEASURE = _form(
    MeasurePlan,
    {
        "release": {
            "type": "string", "title": "Release", "description": "Its version. Empty: the one published last.",
        },
        "arms": {
            "type": "array", "items": {"type": "string", "enum": list(ARMS)}, "minItems": 1, "title": "Arms",
            "description": "three_and_synthetic is the release as the paper trains on it; random is an even draw of "
            "as many pairs; alt and same_document are texts of the place where an image stands.",
        },
        "seeds": {**_COUNT, "title": "Seeds", "description": "Trainings of each arm; intervals need two at least."},
        "steps": {
            "type": "integer", "minimum": 20, "title": "Steps", "description": "Of every training, whatever its arm.",
        },
        "batch_size": {
            "type": "integer", "minimum": 2, "title": "Images a batch", "description": "The paper: 4,096.",
        },
        "evaluation": {
            "type": "string", "minLength": 1, "title": "Evaluation sets",
            "description": "Folder of the bucket with a folder a set, in the layout of clip-benchmark's WebDatasets.",
        },
        "seed": _SEED,
    },
)  # fmt: skip
