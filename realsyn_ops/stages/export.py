"""What a release is made of: images as JPEG, rows in the RealSyn schema, the fields of a tar's sample, and the card.

Which pairs are released is decided in `sample`; files are written by the task. Everything here is the same for the same
input: no clock, no machine, no order of dictionaries.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

from realsyn_ops.errors import PermanentError
from realsyn_ops.image_codec import reduce_image

_QUALITY = 95
_N_TEXTS = 3


def reencode(image: Image.Image, *, side_px: int) -> bytes:
    """JPEG of an RGB image; one whose shorter side is above ``side_px`` is first reduced to it, at the same ratio.

    As the RealSyn handbook's img2dataset call does (image_size 224, keep_ratio, resize_only_if_bigger).
    """
    pixels = np.ascontiguousarray(reduce_image(image, shorter_side=side_px))
    content: bytes = simplejpeg.encode_jpeg(pixels, quality=_QUALITY, colorsubsampling="420", fastdct=False)
    return content


def release_rows(pairs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the RealSyn schema (PAPER.md 7) sorted by key, with keys and scores so that each text can be traced.

    A pair has ``key, day, url, document_key, document_url, node, text_keys, texts, similarities, text_document_urls,
    text_nodes, caption, tags, syn_text, syn_origin, syn_similarity, models``.
    Raises PermanentError for a pair whose texts are not three distinct ones in order of similarity, or a key that
    occurs twice: whoever published it is broken.
    """
    rows = [_release_row(pair) for pair in pairs]
    rows.sort(key=lambda row: row["key"])
    for before, row in pairwise(rows):
        if before["key"] == row["key"]:
            raise PermanentError(f"image {row['key']} is twice in the release")
    return rows


def _release_row(pair: Mapping[str, Any]) -> dict[str, Any]:
    texts, text_keys = list(pair["texts"]), list(pair["text_keys"])
    similarities = [float(similarity) for similarity in pair["similarities"]]
    if {len(texts), len(set(texts)), len(text_keys), len(similarities)} != {_N_TEXTS}:
        raise PermanentError(f"pair {pair['key']} needs {_N_TEXTS} distinct texts with keys and scores, got {texts}")
    if similarities != sorted(similarities, reverse=True):
        raise PermanentError(f"pair {pair['key']}: similarities must fall by rank, got {similarities}")
    row: dict[str, Any] = {"raw_image_url": pair["url"]}
    row |= {f"text{rank}": text for rank, text in enumerate(texts, 1)}
    row |= {name: pair[name] for name in ("syn_text", "key", "day", "document_key", "document_url", "node")}
    row |= {f"text{rank}_key": key for rank, key in enumerate(text_keys, 1)}
    row |= {f"text{rank}_similarity": similarity for rank, similarity in enumerate(similarities, 1)}
    row |= {f"text{rank}_document_url": url for rank, url in enumerate(pair["text_document_urls"], 1)}
    row |= {f"text{rank}_node": node for rank, node in enumerate(pair["text_nodes"], 1)}
    row |= {"caption": pair["caption"], "tags": list(pair["tags"]), "syn_origin": pair["syn_origin"]}
    return row | {"syn_similarity": float(pair["syn_similarity"]), "models": pair["models"]}


def sample_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """The ``json`` of a release row's sample in a tar: columns its readers look for, beside ``text1`` in ``txt``."""
    names = ("key", "day", "raw_image_url", "text2", "text3", "syn_text", "text1_key", "text2_key", "text3_key")
    return {name: row[name] for name in names}


_KINDS = (("documents", "Documents"), ("images", "Images"), ("sentences", "Sentences"))
_FRONT = """---
license: other
task_categories:
- image-to-text
- zero-shot-image-classification
language:
- en
tags:
- clip
- image-text-pairs
- interleaved-documents
pretty_name: "RealSyn ops release {version}"
configs:
- config_name: default
  data_files: "realsyn/*.parquet"
- config_name: extended
  data_files: "pairs/*.parquet"
---
"""
_WHAT = """
# RealSyn ops release {version}

Image-text pairs for CLIP pre-training, made from interleaved web documents by the method of *RealSyn* (Gu et al.,
ACM MM 2025, arXiv 2502.12513). An image comes with three **realistic texts**, sentences retrieved from all documents,
and one **synthetic text**, written from the best realistic text, a caption and tags, and kept only if every content
word of it comes from those; otherwise it is a template's.

Pairs: {n_selected} of {n_candidates} candidates. Days of documents: {days}. Preset: `{preset}`.
"""
_LOAD = """
## How to load

- `realsyn/*.parquet`: `raw_image_url, text1, text2, text3, syn_text`, as RealSyn publishes them.
- `pairs/*.parquet`: the same rows and columns, then `key`, `day`, where the image and each text come from, the texts'
  keys and similarities, `caption`, `tags`, `syn_origin`, `syn_similarity` and the `models`.
- `tars/*.tar`: the images. A sample holds `jpg`, `txt` (text1) and `json` (text2, text3, syn_text, keys).
- `croissant.json` describes them to machines; `sha256sum --check SHA256SUMS` checks the files.

```python
import datasets
import webdataset

rows = datasets.load_dataset("FOLDER", split="train")  # or with "extended" as a second argument
images = datasets.load_dataset("webdataset", data_files="FOLDER/tars/*.tar", split="train")
tars = webdataset.WebDataset("FOLDER/tars/00000.tar", shardshuffle=False)
samples = tars.decode("pil").to_tuple("jpg", "txt", "json")
```

Images anew from their addresses, as RealSyn's handbook does:

```sh
img2dataset --url_list FOLDER/realsyn --output_folder IMAGES --input_format parquet --url_col raw_image_url \\
  --caption_col text1 --output_format webdataset --image_size 224 --resize_only_if_bigger=True \\
  --resize_mode keep_ratio --skip_reencode=True --save_additional_columns '["text2","text3","syn_text"]'
```

In open_clip: `--dataset-type webdataset --train-data FILE.tar --train-num-samples {n_selected}`; open_clip 3.3 trains
with webdataset 0.2.86 at the latest, as its `training` extra says.
"""
_UNJUDGED = """\
- **No filter for nudity, violence or faces ran.** The paper names none either.
"""
_JUDGED = """\
- Images were judged by this deployment's own policies: {names}. Nothing else looked for nudity, violence or faces.
"""
_PARTLY_JUDGED = """\
- Images were judged by this deployment's own policies: {names}. **Not every day was judged by all of them**, and
  nothing else looked for nudity, violence or faces.
"""
_LIMITS = """\
- The pictures and sentences keep the licences of the documents they come from; `raw_image_url` and the keys lead there.
  This card grants nothing.
- Texts were retrieved, not written, for an image: a realistic text may be about a similar thing.
- The paper does not say its thresholds of redundancy nor its clustering's settings; those under *Settings* are ours.
"""
_DEMO_LIMITS = """\
- The `demo` models are small ones that ship inside Python packages. **Their encoder is no CLIP**: an ImageNet
  classifier and a sentence encoder, aligned through class names without training, far weaker than the paper's. Captions
  are templates over ImageNet classes, there is no class for people, and the rewriter often falls back to the template.
  Such a release shows the system working; do not train on it.
- The demo's own documents are GIMP's and Hugin's help, Tux Paint's stamps and WordNet's definitions, under the several
  free licences named in the `copyright` files of the Debian packages they were taken from.
"""


def card(report: Mapping[str, Any]) -> str:
    """The data set's card in Markdown, with Hugging Face's front matter.

    ``report`` holds ``version``, ``days``, ``preset``, ``models`` (role -> name), ``funnel`` (documents, images,
    sentences -> steps of ``step, n_in, n_kept, rejects, paper_share``), ``plans``, ``selection`` and ``files``;
    ``image_policies`` (what each day's plan names) and ``accepted`` (``dag, day, accepted, by, why, at``: what was let
    pass in spite of a gate) where there are any.
    """
    values = {**report["selection"], **report, "days": ", ".join(report["days"])}
    parts = [
        _FRONT.format_map(values),
        _WHAT.format_map(values),
        *(_funnel(title, report["funnel"].get(kind, ())) for kind, title in _KINDS),
        _rejects(report["funnel"]),
        _selection(report["selection"]),
        "\n## Models\n\n" + _table(("role", "model"), sorted(report["models"].items())),
        *(_settings(name, plan) for name, plan in sorted(report["plans"].items())),
        _files(report["files"]),
        _LOAD.format_map(values),
        _accepted(report.get("accepted", ())),
        "\n## Limits\n\n" + _policies(report.get("image_policies", ())),
        _LIMITS + (_DEMO_LIMITS if report["preset"] == "demo" else ""),
    ]
    return "".join(parts)


def _policies(judged_by: Iterable[str]) -> str:
    """What the card says of image policies; `judged_by`: what each day's plan names, blanks between."""
    sets = {frozenset(names.split()) for names in judged_by} or {frozenset()}
    names = ", ".join(f"`{name}`" for name in sorted(frozenset().union(*sets)))
    if not names:
        return _UNJUDGED
    return (_JUDGED if len(sets) == 1 else _PARTLY_JUDGED).format(names=names)


def _accepted(said: Iterable[Mapping[str, Any]]) -> str:
    rows = [(s["dag"], s["day"], "; ".join(s["accepted"]), s["by"], s["why"], s["at"]) for s in said]
    header = ("Dag", "of", "expectations that did not hold", "accepted by", "because", "at")
    return "\n## Accepted in spite of a gate\n\n" + _table(header, rows) if rows else ""


def _funnel(title: str, steps: Iterable[Mapping[str, Any]]) -> str:
    rows = []
    for step in steps:
        n_rejected = step["n_in"] - step["n_kept"]
        share = _percent(n_rejected / step["n_in"]) if step["n_in"] else "-"
        paper = "-" if step["paper_share"] is None else _percent(step["paper_share"])
        rows.append((step["step"], step["n_in"], step["n_kept"], n_rejected, share, paper))
    if not rows:
        return ""
    header = ("step", "in", "kept", "rejected", "share", "share in the paper")
    return f"\n## {title}: the funnel\n\n" + _table(header, rows)


def _rejects(funnel: Mapping[str, Iterable[Mapping[str, Any]]]) -> str:
    rows = [
        (kind, step["step"], reason, n)
        for kind, _ in _KINDS
        for step in funnel.get(kind, ())
        for reason, n in sorted(step["rejects"].items())
    ]
    return "\n## Rejects by reason\n\n" + _table(("of", "step", "reason", "n"), rows)


def _selection(selection: Mapping[str, Any]) -> str:
    """What was chosen; the scales, of which each is the first so many shards; what other bounds would have left."""
    chosen = sorted((name, value) for name, value in selection.items() if not isinstance(value, list | dict))
    parts = ["\n## Selection\n\n" + _table(("value", "chosen"), chosen)]
    if scales := selection.get("scales"):
        rows = [(scale["size"], scale["cap"], f"{scale['n_shards']:,}") for scale in scales]
        parts.append("\n### Scales\n\n" + _table(("pairs", "cap of a cluster", "in the first shards"), rows))
    if others := selection.get("what_if"):
        rows = [(*(f"{q:g}" for q in o["quantiles"]), o["lower"], o["upper"], o["n_within"]) for o in others]
        header = ("lower quantile", "upper quantile", "lower", "upper", "pairs within")
        parts.append("\n### Other bounds\n\n" + _table(header, rows))
    return "".join(parts)


def _settings(name: str, plan: Mapping[str, Any]) -> str:
    rows = sorted((field, str(value)) for field, value in plan.items())
    return f"\n## Settings: `{name}`\n\n" + _table(("field", "value"), rows)


def _files(files: Iterable[Mapping[str, Any]]) -> str:
    rows = sorted((file["path"], file["bytes"], file["sha256"]) for file in files)
    return "\n## Files\n\n" + _table(("path", "bytes", "sha256"), rows)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _table(header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "".join("| " + " | ".join(_cell(value) for value in line) + " |\n" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).replace("|", "\\|").replace("\n", " ")
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
