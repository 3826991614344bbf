"""The complexity and action filters: sentences per CPU second, beside Data-Juicer's two on the same sentences.

Ours parses a sentence once for both filters; Data-Juicer's filters parse it each for itself. Both run in a process of
their own, one thread, on the same spaCy model (Data-Juicer's own, a larger one, is in no package index). What they
decide differently is counted by its reason, found by a parse of those sentences afterwards.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console

from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.cli.peers import run_peer
from realsyn_ops.cli.services import PROJECT
from realsyn_ops.demo.manuals import MANUALS, find_pages
from realsyn_ops.demo.packages import fetch
from realsyn_ops.demo.wordnet import read_nouns, sentence
from realsyn_ops.io.html import read_html
from realsyn_ops.records import TextNode, hash_order
from realsyn_ops.stages.extract import split_sentences
from realsyn_ops.stages.filter import sentence_text_reason

SUMMARY = "complexity and action of sentences, beside Data-Juicer's filters"
N_SENTENCES = 20_000
MIN_RATIO = 8
_SEED = 2502

_OURS = r"""
import json, re, sys, time
from pathlib import Path
from realsyn_ops.models.load import load_parser
from realsyn_ops.stages.filter import parse_reason
texts = json.loads(Path(sys.argv[1]).read_text())
parser = load_parser("demo", device="cpu", threads=1, models_path=Path())
parser.parse(texts[:20])
started = time.process_time()
parses = parser.parse(texts)
reasons = [parse_reason(p.n_relations, p.n_actions, min_relations=1, min_actions=1) for p in parses]
seconds = time.process_time() - started
kept = {"complexity": [p.n_relations > 0 for p in parses], "action": [p.n_actions > 0 for p in parses]}
peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
print(json.dumps({"seconds": seconds, "kept": kept, "n_kept": reasons.count(None), "peak_rss_bytes": peak}))
"""


def measure(home: Path, console: Console) -> Measurement:
    """Both on sentences of GIMP's and Hugin's manuals and of WordNet (Debian packages), half and half."""
    texts = _sentences(home / "cache")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "sentences.json"
        path.write_text(json.dumps(texts))
        console.print("ours", highlight=False)
        done = subprocess.run(
            [sys.executable, "-c", _OURS, str(path)], cwd=PROJECT, capture_output=True, text=True, check=True
        )
        ours = json.loads(done.stdout)
        console.print("data-juicer", highlight=False)
        peer = run_peer("data_juicer", "data_juicer_filters.py", [str(path)], home, console)
    both = sum(peer["seconds"].values())
    ratio = both / ours["seconds"]
    figures: dict[str, Any] = {
        "ours": {"sentences_per_second": len(texts) / ours["seconds"], "peak_rss_mb": ours["peak_rss_bytes"] / 2**20},
        "data-juicer": {
            "sentences_per_second": len(texts) / both,
            **{f"{name}_alone_per_second": len(texts) / seconds for name, seconds in peer["seconds"].items()},
            "peak_rss_mb": peer["peak_rss_bytes"] / 2**20,
        },
        "ratio": ratio,
        "peer_version": peer["version"],
    }
    for name in ("complexity", "action"):
        pairs = list(zip(texts, ours["kept"][name], peer["kept"][name], strict=True))
        differing = [(text, own) for text, own, other in pairs if own != other]
        figures[f"agreement on {name}"] = 1 - len(differing) / len(texts)
        figures |= {f"{name}: {kind}": n for kind, n in _kinds(name, differing).most_common()}
    return Measurement(
        f"{len(texts)} sentences of two manuals and of WordNet",
        figures,
        [Check("times Data-Juicer's speed", ratio, ">=", MIN_RATIO)],
    )


def _sentences(cache: Path) -> list[str]:
    """Those that pass the cheap rules, as in the flow: half from the manuals, half from WordNet, drawn by hash."""
    packages = fetch(["wordnet-base", *(manual.package for manual in MANUALS)], cache)
    pages = [page for manual in MANUALS for page in find_pages(manual, packages[manual.package])]
    nodes = (node for page in pages for node in read_html(page.path.read_bytes()).nodes)
    manuals = {text for node in nodes if isinstance(node, TextNode) for text in split_sentences(node.text)}
    nouns = read_nouns(packages["wordnet-base"] / "usr/share/wordnet")
    glosses = {text for synset in nouns.synsets.values() if (text := sentence(synset))}
    chosen: list[str] = []
    for texts in (manuals, glosses - manuals):
        passing = (text for text in texts if sentence_text_reason(text, min_words=3, max_words=81) is None)
        chosen += sorted(passing, key=lambda text: hash_order(text, _SEED))[: N_SENTENCES // 2]
    return sorted(chosen, key=lambda text: hash_order(text, _SEED + 1))


def _kinds(name: str, differing: list[tuple[str, bool]]) -> Counter[str]:
    """Why ours kept (or refused) what Data-Juicer did not, from a parse by the whole pipeline."""
    import spacy

    from realsyn_ops.models.parser import demo_pipeline

    pipeline = spacy.load(demo_pipeline()[1])
    why = _complexity_kind if name == "complexity" else _action_kind
    docs = pipeline.pipe(text for text, _ in differing)
    return Counter(why(list(doc), is_kept) for doc, (_, is_kept) in zip(docs, differing, strict=True))


_ENTITY_TAGS = {"NN", "NR", "PN", "NNS", "NNP", "NNPS", "PRP"}
_VERB_TAGS = {"VV", "VB", "VBP", "VBZ", "VBD", "VBG", "VBN"}


def _complexity_kind(tokens: list[Any], is_kept: bool) -> str:
    objects = [token for token in tokens if token.pos_ in {"NOUN", "PROPN", "PRON"}]
    entities = [token for token in objects if token.tag_ in _ENTITY_TAGS]
    if not is_kept:
        edges = {child.dep_ for entity in entities for child in entity.children} | {e.dep_ for e in entities}
        has_clause = edges & {"ROOT", "relcl", "advcl", "ccomp", "xcomp", "conj", "dep"}
        return f"kept by theirs: only edges that are no relation of an object ({'with' if has_clause else 'no'} clause)"
    if not entities:
        return "kept by ours: the object is a pronoun with a tag theirs does not know (this, who, there)"
    bare = [e for e in entities if e.dep_ == "ROOT" and all(child.pos_ == "PUNCT" for child in e.children)]
    if bare:
        return "kept by ours: theirs wants an edge on every noun, ours on one"
    return "kept by ours: for another reason"


def _action_kind(tokens: list[Any], is_kept: bool) -> str:
    verbs = {token.tag_ for token in tokens if token.pos_ == "VERB"}
    if is_kept and verbs and not verbs & _VERB_TAGS:
        return f"kept by ours: a verb with the tag {' '.join(sorted(verbs))}"
    return f"kept by {'ours' if is_kept else 'theirs'}: for another reason"
