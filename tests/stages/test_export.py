import copy
import io
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from realsyn_ops.errors import PermanentError
from realsyn_ops.io.schemas import RELEASE
from realsyn_ops.stages.export import card, reencode, release_rows, sample_fields


def picture(width: int, height: int) -> Image.Image:
    return Image.radial_gradient("L").resize((width, height)).convert("RGB")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 480), (299, 224)),
        ((480, 640), (224, 299)),
        ((1000, 225), (996, 224)),
        ((224, 900), (224, 900)),
        ((120, 100), (120, 100)),
    ],
)
def test_the_shorter_side_is_reduced_and_never_enlarged(size: tuple[int, int], expected: tuple[int, int]) -> None:
    image = Image.open(io.BytesIO(reencode(picture(*size), side_px=224)))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", expected)


def test_the_same_pixels_give_the_same_bytes_without_metadata() -> None:
    image = picture(300, 300)
    noted = image.copy()
    exif = Image.Exif()
    exif[0x010E] = "somewhere"
    noted.info |= {"exif": exif.tobytes(), "icc_profile": b"profile", "comment": b"somebody", "dpi": (300, 300)}
    assert reencode(noted, side_px=224) == reencode(image, side_px=224)


def test_the_quality_is_that_of_img2dataset() -> None:
    image = picture(200, 200)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=95)
    tables = Image.open(io.BytesIO(content.getvalue())).quantization
    assert Image.open(io.BytesIO(reencode(image, side_px=224))).quantization == tables


def pair(key: str, **changes: Any) -> dict[str, Any]:
    return {
        "key": key,
        "day": "2025-02-18",
        "url": f"https://site.example/{key}.png",
        "document_key": "d1",
        "document_url": "https://site.example/page.html",
        "node": 4,
        "text_keys": ["s1", "s2", "s3"],
        "text_document_urls": ["https://a.example/", "https://b.example/", "https://site.example/page.html"],
        "text_nodes": [1, 2, 5],
        "texts": ["One.", "Two.", "Three."],
        "similarities": [0.5, 0.5, 0.25],
        "caption": "a photo of one",
        "tags": ["one", "two"],
        "syn_text": "One and two.",
        "syn_origin": "model",
        "syn_similarity": 0.5,
        "models": '{"rewriter": "some"}',
        **changes,
    }


def test_rows_have_the_schema_of_realsyn_first_and_are_sorted_by_key() -> None:
    rows = release_rows([pair("i2"), pair("i1")])
    assert [row["key"] for row in rows] == ["i1", "i2"]
    assert list(rows[0])[:5] == ["raw_image_url", "text1", "text2", "text3", "syn_text"]
    assert rows[0] == {
        "raw_image_url": "https://site.example/i1.png",
        "text1": "One.",
        "text2": "Two.",
        "text3": "Three.",
        "syn_text": "One and two.",
        "key": "i1",
        "day": "2025-02-18",
        "document_key": "d1",
        "document_url": "https://site.example/page.html",
        "node": 4,
        "text1_key": "s1",
        "text2_key": "s2",
        "text3_key": "s3",
        "text1_similarity": 0.5,
        "text2_similarity": 0.5,
        "text3_similarity": 0.25,
        "text1_document_url": "https://a.example/",
        "text2_document_url": "https://b.example/",
        "text3_document_url": "https://site.example/page.html",
        "text1_node": 1,
        "text2_node": 2,
        "text3_node": 5,
        "caption": "a photo of one",
        "tags": ["one", "two"],
        "syn_origin": "model",
        "syn_similarity": 0.5,
        "models": '{"rewriter": "some"}',
    }


def test_rows_are_those_of_the_release_schema() -> None:
    rows = release_rows([pair("i1")])
    assert list(rows[0]) == RELEASE.names
    assert pa.Table.from_pylist(rows, schema=RELEASE).to_pylist() == rows


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"texts": ["One.", "Two.", "One."]}, "3 distinct texts"),
        ({"texts": ["One.", "Two."]}, "3 distinct texts"),
        ({"text_keys": ["s1", "s2"]}, "3 distinct texts"),
        ({"similarities": [0.5, 0.4, 0.3, 0.2]}, "3 distinct texts"),
        ({"similarities": [0.4, 0.5, 0.3]}, "fall by rank"),
    ],
)
def test_a_pair_that_breaks_the_schema_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PermanentError, match=message):
        release_rows([pair("i1", **changes)])


def test_an_image_is_released_once() -> None:
    with pytest.raises(PermanentError, match="i1 is twice"):
        release_rows([pair("i1"), pair("i2"), pair("i1")])


def test_a_sample_has_what_the_published_notebook_reads() -> None:
    fields = sample_fields(release_rows([pair("i1")])[0])
    assert {name: fields[name] for name in ("text2", "text3", "syn_text", "raw_image_url")} == {
        "text2": "Two.",
        "text3": "Three.",
        "syn_text": "One and two.",
        "raw_image_url": "https://site.example/i1.png",
    }


REPORT: dict[str, Any] = {
    "version": "v0001",
    "days": ["2025-02-18", "2025-02-19"],
    "preset": "demo",
    "models": {"rewriter": "SmolLM2-135M", "encoder": "a|b"},
    "funnel": {
        "documents": [{"step": "extract", "n_in": 5, "n_kept": 5, "rejects": {}, "paper_share": None}],
        "images": [
            {
                "step": "quality",
                "n_in": 1000,
                "n_kept": 800,
                "rejects": {"image_too_small": 150, "image_aspect": 50},
                "paper_share": 0.152,
            },
            {"step": "redundancy", "n_in": 0, "n_kept": 0, "rejects": {}, "paper_share": 0.305},
        ],
        "sentences": [
            {"step": "semantic", "n_in": 10, "n_kept": 6, "rejects": {"low_entropy": 4}, "paper_share": 0.36},
        ],
    },
    "plans": {"release": {"seed": 2502, "share": 0.7}, "curate": {"min_side_px": 100}},
    "selection": {
        "lower": 0.5123456,
        "upper": 0.61,
        "cap": 3,
        "n_clusters": 40,
        "n_selected": 412,
        "n_candidates": 1588,
        "cluster_sizes_before": [300, 200],
        "scales": [{"size": 100, "cap": 2, "n_shards": 1}, {"size": 412, "cap": 3, "n_shards": 5}],
        "what_if": [{"quantiles": [0.0, 1.0], "lower": 0.1, "upper": 0.7, "n_within": 1588}],
    },
    "files": [{"path": "b.tar", "bytes": 20480, "sha256": "bb"}, {"path": "a.parquet", "bytes": 7, "sha256": "aa"}],
}


@pytest.mark.parametrize(
    "line",
    [
        'pretty_name: "RealSyn ops release v0001"',
        "Pairs: 412 of 1588 candidates. Days of documents: 2025-02-18, 2025-02-19. Preset: `demo`.",
        "## Images: the funnel",
        "| step | in | kept | rejected | share | share in the paper |",
        "| extract | 5 | 5 | 0 | 0.0% | - |",
        "| quality | 1,000 | 800 | 200 | 20.0% | 15.2% |",
        "| redundancy | 0 | 0 | 0 | - | 30.5% |",
        "| semantic | 10 | 6 | 4 | 40.0% | 36.0% |",
        "| images | quality | image_aspect | 50 |",
        "| sentences | semantic | low_entropy | 4 |",
        "| cap | 3 |",
        "| lower | 0.5123 |",
        "| 412 | 3 | 5 |",
        "| 0 | 1 | 0.1 | 0.7 | 1,588 |",
        "| rewriter | SmolLM2-135M |",
        "| encoder | a\\|b |",
        "## Settings: `curate`",
        "| seed | 2502 |",
        "| a.parquet | 7 | aa |",
        "| b.tar | 20,480 | bb |",
        "## How to load",
    ],
)
def test_the_card_says_what_was_done(line: str) -> None:
    assert line in card(REPORT).splitlines()


def test_the_card_lists_no_cluster_sizes() -> None:
    assert "cluster_sizes" not in card(REPORT)


def test_the_front_matter_is_yaml_between_dashes() -> None:
    import yaml

    _, front, body = card(REPORT).split("---\n", 2)
    assert yaml.safe_load(front)["configs"] == [
        {"config_name": "default", "data_files": "realsyn/*.parquet"},
        {"config_name": "extended", "data_files": "pairs/*.parquet"},
    ]
    assert body.startswith("\n# RealSyn ops release v0001\n")


def test_the_card_does_not_depend_on_the_order_of_dictionaries() -> None:
    turned = copy.deepcopy(REPORT)
    for name in ("models", "plans", "selection", "funnel"):
        turned[name] = dict(reversed(turned[name].items()))
    turned["funnel"]["images"][0]["rejects"] = dict(reversed(turned["funnel"]["images"][0]["rejects"].items()))
    turned["files"].reverse()
    assert card(turned) == card(REPORT)


@pytest.mark.parametrize(("preset", "is_warned"), [("demo", True), ("clip", False)])
def test_only_the_card_of_the_demo_models_warns_that_they_are_no_clip(preset: str, is_warned: bool) -> None:
    text = card({**REPORT, "preset": preset})
    assert ("encoder is no CLIP" in text) is is_warned
    assert "No filter for nudity" in text


@pytest.mark.parametrize(
    ("judged_by", "line"),
    [
        ([], "**No filter for nudity, violence or faces ran.**"),
        ([""], "**No filter for nudity, violence or faces ran.**"),
        (["faces@1 nudity@3"], "own policies: `faces@1`, `nudity@3`. Nothing else"),
        (["", "faces@1"], "own policies: `faces@1`. **Not every day"),
        (["faces@1", "faces@2"], "own policies: `faces@1`, `faces@2`. **Not every day"),
    ],
)
def test_the_card_says_which_policies_judged_the_images(judged_by: list[str], line: str) -> None:
    text = card({**REPORT, "image_policies": judged_by})
    assert line in text
    assert ("No filter" in text) is ("No filter" in line)
