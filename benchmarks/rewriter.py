"""A real small model behind a real server: the demo's documents from raw input to pairs, texts by HTTP.

SmolLM2-135M-Instruct is served by `transformers serve`; the tasks of the Dags run one by one in one process with
`REALSYN_REWRITER` at that address, then once more under another plan, which has all answers already, then with the
`demo` rewriter: the same model in the task's own process, bound to the words of its sources. Acceptance and reasons are
those of the grounding gate, as they come: of a model this small little is accepted, and no check asks for more.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from benchmarks.material.serving import transformers_serve
from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.cli.demo import prepare_input, prepare_models, upload
from realsyn_ops.cli.services import PROJECT, Stack
from realsyn_ops.demo.documents import DAYS
from realsyn_ops.errors import ServiceError
from realsyn_ops.io.answers import UNJUDGED
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.models.smollm2 import prepare_smollm2

SUMMARY = "synthetic texts by SmolLM2 behind transformers' own server: acceptance, reasons, and what they cost"
_OTHER_PLAN = {"max_synthetic_words": 59}
_RULES = "corpus/plans/rules/pairs.json"
"""What the pairs in force were made by: without it a run looks at every image again."""
_LIMITS = {"max_fallback_share": 1.0}
"""How often so small a model is refused is what is measured here, and no reason to publish nothing."""


def measure(home: Path, console: Console, *, documents: int = 8) -> Measurement:
    """The first day of so many of the demo's documents."""
    with TemporaryDirectory(dir=home) as scratch:
        folder = Path(scratch) / "home"
        folder.mkdir()
        for shared in ("cache", "models"):
            (home / shared).mkdir(exist_ok=True)
            (folder / shared).symlink_to(home / shared)
        prepare_models(folder / "models")
        stack = Stack(folder)
        stack.up_store()
        try:
            upload(stack.bucket, prepare_input(folder, None, documents))
            with transformers_serve(prepare_smollm2(home / "models").resolve(), home, console) as spec:
                console.print("served", highlight=False)
                served = _run(stack, {"REALSYN_REWRITER": spec}, _LIMITS)
                console.print("served, another plan", highlight=False)
                replayed = _run(stack, {"REALSYN_REWRITER": spec}, _LIMITS | _OTHER_PLAN)
            console.print("demo", highlight=False)
            ours = _run(stack, {}, _LIMITS)
        finally:
            stack.down()
    return _summarise(documents, served, replayed, ours)


def _run(stack: Stack, further: dict[str, str], limits: dict[str, float]) -> dict[str, Any]:
    """A day's tasks; what the pairs in force are made of, and what the run paid for."""
    bucket = stack.bucket
    bucket.delete(_RULES)
    before = {item.key for item in bucket.list("runs/pair_texts/")}
    answers_before = (
        Corpus(bucket).read("answers", ["key"])["key"].to_pylist() if Corpus(bucket).exists("answers") else []
    )
    env = {**os.environ, **stack.airflow_env(), **further}
    command = [sys.executable, "-m", "tests.flow.run_tasks", DAYS[0], json.dumps({"pair_texts": limits})]
    done = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceError(f"{DAYS[0]} failed: {done.stderr.strip()[-1500:]}")
    pairs = Corpus(bucket).read("pairs", ["key", "syn_text", "syn_origin", "syn_reason"], where="reason IS NULL")
    rows = Corpus(bucket).read("answers", ["key", "n_try", "reason", "model"]).to_pylist()
    new = [row for row in rows if row["key"] not in set(answers_before)]
    runs = [json.loads(bucket.get(item.key)) for item in bucket.list("runs/pair_texts/") if item.key not in before]
    spent: Counter[str] = Counter()
    for run in runs:
        for some in run.get("spent", ()):
            spent.update({name: value for name, value in some.items() if name != "model"})
    return {
        "digest": sorted(zip(pairs["key"].to_pylist(), pairs["syn_text"].to_pylist(), strict=True)),
        "origins": Counter(pairs["syn_origin"].to_pylist()),
        "reasons": Counter(reason for reason in pairs["syn_reason"].to_pylist() if reason),
        "first": Counter(row["reason"] for row in new if row["n_try"] == 1),
        "second": Counter(row["reason"] for row in new if row["n_try"] == 2),
        "spent": spent,
        "n_shards": sum("spent" in run for run in runs),
    }


def _summarise(documents: int, served: dict[str, Any], replayed: dict[str, Any], ours: dict[str, Any]) -> Measurement:
    figures: dict[str, Any] = {}
    for name, run in (("served", served), ("demo", ours)):
        n, spent = run["origins"].total(), run["spent"]
        figures[name] = {
            "texts": n,
            "by the rewriter": run["origins"]["rewriter"],
            "answers": spent["n_answers"],
            "accepted at first": run["first"][None],
            "asked again": run["second"].total(),
            "accepted then": run["second"][None],
            "prompt tokens": spent["n_prompt_tokens"],
            "answer tokens": spent["n_answer_tokens"],
            "bytes": spent["n_bytes"],
            "seconds waited": spent["seconds"],
        }
        for part in ("first", "second"):
            reasons = {str(reason): count for reason, count in run[part].most_common() if reason}
            figures[f"{name}: refused {'at first' if part == 'first' else 'again'}"] = reasons
        figures[f"{name}: the template, because"] = dict(run["reasons"].most_common())
    n_unjudged = served["first"][UNJUDGED] + served["second"][UNJUDGED]
    checks = [
        Check("synthetic texts", served["origins"].total(), ">=", 4),
        Check("answers of the served model", served["spent"]["n_answers"], ">=", 4),
        Check("answers whose tokens the server did not count", float(not served["spent"]["n_answer_tokens"]), "<=", 0),
        Check("answers that no gate has judged", n_unjudged, "<=", 0),
        Check("requests under another plan", replayed["spent"]["n_answers"], "<=", 0),
        Check("texts under another plan that differ", float(replayed["digest"] != served["digest"]), "<=", 0),
        Check("shards made under another plan", replayed["n_shards"], ">=", 1),
        Check("shards made by the demo's rewriter", ours["n_shards"], ">=", 1),
    ]
    return Measurement(f"{documents} documents of the demo: {DAYS[0]}", figures, checks)
