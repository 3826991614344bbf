"""What a report shows of rejects, and what it only counts."""

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket
from realsyn_ops.operators.reporting import _image_rejects, _text_rejects
from realsyn_ops.records import sentence_key
from tests.report.small_corpus import FIRST, image, jpeg, publish, sentence


def test_personal_data_and_what_a_policy_refused_are_not_shown(bucket: Bucket) -> None:
    corpus = Corpus(bucket)
    texts = {"email": "Write to heron@lake.example about the birds.", "no_action": "A blue door."}
    keys = {reason: sentence_key(text) for reason, text in texts.items()}
    publish(corpus, "sentences", [{"key": keys[r], "day": FIRST, "text": texts[r], "n_nodes": 1} for r in texts])
    publish(corpus, "sentence_scores", [sentence(keys[r], FIRST, 4, r, 1.0) for r in texts])
    pictures = {"i" + "1" * 32: "image_policy", "i" + "2" * 32: "image_too_small"}
    about = {"day": FIRST, "data": jpeg(60), "format": "JPEG", "width": 60, "height": 60, "n_nodes": 1}
    publish(corpus, "images", [{"key": key, **about} for key in pictures])
    publish(corpus, "image_scores", [image(key, FIRST, 60, 60, reason, 1.0) for key, reason in pictures.items()])

    shown = {reason: rows[0]["text"] for reason, rows in _text_rejects(corpus, 1).items()}
    assert shown == {"email": "(not shown)", "no_action": "A blue door."}
    has_picture = {reason: bool(rows[0]["image"]) for reason, rows in _image_rejects(corpus, 1).items()}
    assert has_picture == {"image_policy": False, "image_too_small": True}
