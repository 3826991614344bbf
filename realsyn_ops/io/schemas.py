"""The columns of every data set, staged and published alike. `day` is the partition; `key` is unique within a day.

`n_nodes` counts the places in documents where an image or sentence stands: the funnel counts those.
"""

import pyarrow as pa

_KEY = [pa.field("key", pa.string(), nullable=False), pa.field("day", pa.string(), nullable=False)]

DOCUMENTS = pa.schema(
    [
        *_KEY,
        ("source", pa.string()),
        ("file", pa.string()),
        ("record", pa.string()),
        ("url", pa.string()),
        ("title", pa.string()),
        ("n_images", pa.int32()),
        ("n_sentences", pa.int32()),
    ]
)
IMAGES = pa.schema(
    [
        *_KEY,
        ("data", pa.large_binary()),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("n_nodes", pa.int32()),
    ]
)
IMAGE_NODES = pa.schema(
    [
        *_KEY,
        ("document_key", pa.string()),
        ("node", pa.int32()),
        ("src", pa.string()),
        ("url", pa.string()),
        ("alt", pa.string()),
        ("caption", pa.string()),
    ]
)
FETCHES = pa.schema(
    [
        *_KEY,
        ("url", pa.string()),
        ("final_url", pa.string()),
        ("host", pa.string()),
        ("status", pa.int32()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("etag", pa.string()),
        ("last_modified", pa.string()),
        ("n_bytes", pa.int64()),
        ("n_tries", pa.int32()),
        ("image_key", pa.string()),
    ]
)
SENTENCES = pa.schema([*_KEY, ("text", pa.string()), ("n_nodes", pa.int32())])
SENTENCE_NODES = pa.schema([*_KEY, ("document_key", pa.string()), ("node", pa.int32()), ("position", pa.int32())])
REJECTS = pa.schema(
    [
        *_KEY,
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("source", pa.string()),
        ("file", pa.string()),
        ("record", pa.string()),
        ("document_key", pa.string()),
        ("node", pa.int32()),
        ("detail", pa.string()),
    ]
)
IMAGE_SCORES = pa.schema(
    [
        *_KEY,
        ("n_nodes", pa.int32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("reason", pa.string()),
        ("value", pa.float64()),
        ("detail", pa.string()),
        ("text_share", pa.float32()),
        ("sharpness", pa.float32()),
        ("flatness", pa.float32()),
    ]
)
SENTENCE_SCORES = pa.schema(
    [
        *_KEY,
        ("n_nodes", pa.int32()),
        ("n_words", pa.int32()),
        ("language", pa.string()),
        ("language_score", pa.float64()),
        ("site_share", pa.float64()),
        ("n_relations", pa.int32()),
        ("n_actions", pa.int32()),
        ("entropy", pa.float64()),
        ("perplexity", pa.float64()),
        ("reason", pa.string()),
        ("value", pa.float64()),
    ]
)
SENTENCE_MEASURES = pa.schema(
    [
        *_KEY,
        ("n_relations", pa.int32()),
        ("n_actions", pa.int32()),
        ("parsed_by", pa.string()),
        ("perplexity", pa.float64()),
        ("scored_by", pa.string()),
    ]
)
CURATED_IMAGES = pa.schema(
    [
        *_KEY,
        ("n_nodes", pa.int32()),
        ("cluster", pa.int32()),
        ("centroid_similarity", pa.float32()),
        ("near", pa.list_(pa.int32())),
        ("reason", pa.string()),
        ("survivor", pa.string()),
        ("similarity", pa.float64()),
    ]
)
IMAGE_LINKS = pa.schema([*_KEY, ("other", pa.string()), ("similarity", pa.float64()), ("reason", pa.string())])
SENTENCE_LINKS = IMAGE_LINKS
SENTENCE_CLUSTERS = pa.schema(
    [
        *_KEY,
        ("text", pa.string()),
        ("n_nodes", pa.int32()),
        ("cluster", pa.int32()),
        ("centroid_similarity", pa.float32()),
        ("near", pa.list_(pa.int32())),
        ("reason", pa.string()),
        ("survivor", pa.string()),
        ("similarity", pa.float64()),
    ]
)
PAIRS = pa.schema(
    [
        *_KEY,
        ("cluster", pa.int32()),
        ("text_keys", pa.list_(pa.string())),
        ("texts", pa.list_(pa.string())),
        ("similarities", pa.list_(pa.float32())),
        ("caption", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("syn_text", pa.string()),
        ("syn_origin", pa.string()),
        ("syn_reason", pa.string()),
        ("syn_similarity", pa.float32()),
        ("reason", pa.string()),
        ("made_by", pa.string()),
    ]
)
ANSWERS = pa.schema(
    [
        *_KEY,
        ("model", pa.string()),
        ("prompt", pa.string()),
        ("n_try", pa.int32()),
        ("answer", pa.string()),
        ("finish", pa.string()),
        ("reason", pa.string()),
        ("n_prompt_tokens", pa.int32()),
        ("n_answer_tokens", pa.int32()),
    ]
)
RELEASE = pa.schema(
    [
        ("raw_image_url", pa.string()),
        ("text1", pa.string()),
        ("text2", pa.string()),
        ("text3", pa.string()),
        ("syn_text", pa.string()),
        *_KEY,
        ("text1_key", pa.string()),
        ("text2_key", pa.string()),
        ("text3_key", pa.string()),
        ("text1_similarity", pa.float32()),
        ("text2_similarity", pa.float32()),
        ("text3_similarity", pa.float32()),
        ("caption", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("syn_origin", pa.string()),
        ("syn_similarity", pa.float32()),
    ]
)


def image_embeddings(dim: int, visual_dim: int) -> pa.Schema:
    """Kept images with their unit vectors in float16: `embedding` joint with texts, `visual` among images."""
    return pa.schema(
        [
            *_KEY,
            ("n_nodes", pa.int32()),
            ("n_pixels", pa.int64()),
            ("phash", pa.uint64()),
            ("vector_hash", pa.uint64()),
            ("embedding", pa.list_(pa.float16(), dim)),
            ("visual", pa.list_(pa.float16(), visual_dim)),
        ]
    )


def sentence_embeddings(dim: int, n_bands: int) -> pa.Schema:
    """Sentences that passed quality and semantic filters, with their unit vectors in float16.

    `letters_hash`, `bands` and `vector_hash` are what near-duplicates are found by: once a sentence.
    """
    return pa.schema(
        [
            *_KEY,
            ("text", pa.string()),
            ("n_nodes", pa.int32()),
            ("letters_hash", pa.uint64()),
            ("bands", pa.list_(pa.uint64(), n_bands)),
            ("vector_hash", pa.uint64()),
            ("embedding", pa.list_(pa.float16(), dim)),
        ]
    )
