"""Every Asset in the order of the flow: the map of the project. A day is the partition of all but the last four.

Nothing starts by `TAG_LISTS`: a run names the version it wants.
"""

from airflow.sdk import Asset

from realsyn_ops.settings import settings

_CORPUS = f"s3://{settings().bucket}/corpus"

IMAGES = Asset(name="images", uri=f"{_CORPUS}/images")
SENTENCES = Asset(name="sentences", uri=f"{_CORPUS}/sentences")
CURATED_IMAGES = Asset(name="curated_images", uri=f"{_CORPUS}/curated_images")
SENTENCE_CLUSTERS = Asset(name="sentence_clusters", uri=f"{_CORPUS}/sentence_clusters")
PAIRS = Asset(name="pairs", uri=f"{_CORPUS}/pairs")
TAG_LISTS = Asset(name="tag_lists", uri=f"{_CORPUS}/tag_lists")
RELEASES = Asset(name="releases", uri=f"s3://{settings().bucket}/releases")
LESSONS = Asset(name="lessons", uri=f"s3://{settings().bucket}/lessons")
MEASURES = Asset(name="measures", uri=f"s3://{settings().bucket}/measures")
