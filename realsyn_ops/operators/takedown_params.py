"""The form of `takedown`. Addresses and texts are better given to `./realsyn takedown`, which hands on their keys: what
stands in a form stays in Airflow's database."""

from airflow.sdk import Param


def _list(title: str, description: str) -> Param:
    return Param([], type="array", items={"type": "string"}, title=title, description=description)


TAKEDOWN = {
    "dry_run": Param(
        True, type="boolean", title="Dry run",
        description="Only say, in the log of find, what would go and which releases and raw files hold it.",
    ),
    "why": Param("", type="string", title="Why", description="Who asked for it and why: kept with the tombstone."),
    "by": Param("", type="string", title="By", description="Who takes it down: kept with the tombstone."),
    "documents": _list("Documents", "Keys (d...). With a document go the images and sentences that stand in no other."),
    "images": _list("Images", "Keys (i...). With an image go those that look like it."),
    "sentences": _list("Sentences", "Keys (s...)."),
    "letters": _list("Sentences by their letters", "Keys (l...) of texts without case and punctuation."),
    "urls": _list("Addresses", "Of documents or images, or their keys (u...)."),
    "domains": _list("Domains", "As example.org, with all below it: its documents, and the images that it serves."),
    "phashes": _list("Perceptual hashes", "16 hex digits each: images that look like these."),
    "patterns": _list("Patterns", "Regular expressions (RE2): sentences in which one is found, titles and alt texts."),
    "max_hash_distance": Param(
        4, type="integer", minimum=0, maximum=16, title="Perceptual distance (bits)",
        description="Images whose hashes differ by no more look alike.",
    ),
    "delete_raw": Param(
        False, type="boolean", title="Delete raw files",
        description="Delete raw objects that hold nothing else. Otherwise the report names them.",
    ),
}  # fmt: skip
