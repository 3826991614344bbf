"""`realsyn takedown`: what would go, without touching anything; or the Dag of that name, and the pairs mended after it.

Addresses, texts and pictures become keys here: what is handed to Airflow stays in its database.
"""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from realsyn_ops.cli.airflow_api import AirflowApi
from realsyn_ops.cli.chain import Chain
from realsyn_ops.cli.deployment import open_airflow, open_bucket
from realsyn_ops.cli.progress import live_progress
from realsyn_ops.cli.replay import conf_of, follow
from realsyn_ops.cli.services import Stack
from realsyn_ops.errors import PermanentError
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.recorded_plans import last_plan, recorded_plan
from realsyn_ops.io.takedowns import find_facts
from realsyn_ops.models.load import load_encoder
from realsyn_ops.records import sentence_key
from realsyn_ops.report.wording import count, plural
from realsyn_ops.settings import settings
from realsyn_ops.takedown.find import find
from realsyn_ops.takedown.picture import asked_by, seen_by, similar_images
from realsyn_ops.takedown.proof import reach
from realsyn_ops.takedown.request import Request
from realsyn_ops.thresholds import CLUSTER, CURATE, PAIR
from realsyn_ops.tombstones import letters_key

DAG = "takedown"
_SHOWN = 10


@dataclass(frozen=True)
class Asked:
    """The command's options as they were given; ``sentences``: keys or texts."""

    urls: list[str] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)
    max_hash_distance: int = 4
    min_similarity: float = 0.95


def run_takedown(
    stack: Stack, console: Console, asked: Asked, *, why: str, by: str, delete_raw: bool, do_it: bool, as_json: bool
) -> None:
    """Print what would go; with ``do_it`` run the Dag, wait, print its report, and mend the pairs."""
    if do_it and not why.strip():
        raise PermanentError("say with --why who asked for it: it is kept with the tombstone")
    with open_bucket(stack) as bucket:
        corpus = Corpus(bucket)
        request = request_of(corpus, asked, models_path=stack.home / "models")
        told = reach(corpus, find(corpus, request, when="", by=by, why=why))
        newest = max(corpus.days("documents"), default="") if corpus.exists("documents") else ""
    if not do_it:
        _tell(told, console, as_json=as_json)
        if not as_json:
            console.print("nothing was changed: --yes does it", highlight=False)
        return
    api = open_airflow(stack)
    params = {**asdict(request), "dry_run": False, "why": why, "by": by, "delete_raw": delete_raw}
    conf = {name: value for name, value in params.items() if name in api.params(DAG)}
    with live_progress(console) as show:
        chain = Chain(api, show)
        chain.wait(DAG, [api.trigger(DAG, partition_key=None, conf=conf)])
    with open_bucket(stack) as bucket:
        report = find_facts(bucket, request.id, "report") or told
        plans = {dag: recorded_plan(bucket, dag, newest) for dag in (CURATE, CLUSTER)}
        pairs = last_plan(bucket, PAIR)
    _tell(report, console, as_json=as_json)
    if newest and all(plans.values()):
        _mend(api, console, newest, plans, pairs)


def request_of(corpus: Corpus, asked: Asked, *, models_path: Path) -> Request:
    """The request with everything as keys, hashes and rules. Raises BadPlanError or PermanentError for what is none."""
    pictures = [asked_by(path) for path in asked.pictures]
    is_key = re.compile(r"s[0-9a-f]{32}").fullmatch
    texts = [text for text in asked.sentences if not is_key(text)]
    similar = _similar(corpus, asked, models_path) if pictures else []
    return Request(
        urls=tuple(asked.urls),
        domains=tuple(asked.domains),
        documents=tuple(asked.documents),
        images=(*asked.images, *(key for key, _ in pictures), *similar),
        phashes=tuple(phash for _, phash in pictures),
        sentences=(*filter(is_key, asked.sentences), *map(sentence_key, texts)),
        letters=tuple(map(letters_key, texts)),
        patterns=tuple(asked.patterns),
        max_hash_distance=asked.max_hash_distance,
    )


def _similar(corpus: Corpus, asked: Asked, models_path: Path) -> list[str]:
    """Images that the corpus's own encoder finds similar to the pictures."""
    models = dict((last_plan(corpus.bucket, CURATE) or {}).get("models", ()))
    if "encoder" not in models or not corpus.exists("image_embeddings"):
        return []
    where: dict[str, Any] = {"device": settings().device, "threads": settings().threads, "models_path": models_path}
    encoder = load_encoder(models["encoder"], **where)
    return [
        key
        for path in asked.pictures
        for key in similar_images(corpus, seen_by(path, encoder), min_similarity=asked.min_similarity)
    ]


def _mend(api: AirflowApi, console: Console, day: str, plans: dict[str, Any], pairs: dict[str, Any] | None) -> None:
    """Near-duplicates and pairs are brought up to date, by the newest day's plans."""
    known = {run.run_id for run in api.runs(PAIR)}
    confs = {dag: conf_of(api, dag, values) for dag, values in plans.items()}
    started = [api.trigger(dag, partition_key=day, conf=conf) for dag, conf in confs.items()]
    follow(api, console, day, started, known, pairs)


def _tell(told: dict[str, Any], console: Console, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(told, indent=1))
        return

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    say(f"takedown {told['id']}")
    names = ("document", "image", "sentence")
    say("  goes: " + ", ".join(plural(told[f"{name}s"], name) for name in names))
    say(f"  stays, since it stands elsewhere too: {count(told['standing_elsewhere'])} images and sentences")
    say(f"  pairs: {count(told['pairs'])} go, {count(told['pairs_made_anew'])} get other texts")
    for release in told["releases"]:
        state = "revoked already" if release["is_revoked"] else release["what_to_do"]
        say(f"  release {release['version']} has {plural(release['n_pairs'], 'pair')} of it: {state}")
    for raw in told["raw"][:_SHOWN]:
        records = ", ".join([*raw["whole"], *raw["in_part"]][:_SHOWN])
        say(f"  raw file {raw['file']} ({records}): {raw['what_to_do']}")
    if len(told["raw"]) > _SHOWN:
        say(f"  and {count(len(told['raw']) - _SHOWN)} more raw files: see --json")
    if "is_gone" in told:
        seen = told["looked_through"]
        say(f"  looked through {count(seen['objects'])} objects: {'gone' if told['is_gone'] else 'NOT GONE'}")
