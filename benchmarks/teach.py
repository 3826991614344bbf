"""SmolLM2-135M taught to merge on a CPU: what the grounding gate accepts of its answers before and after.

It is tuned on merges that rules make of WordNet's definitions (`material/gloss_merges.py`) and that pass the gate, and
judged on triples it has not seen: of other definitions, made alike, and of Tux Paint's stamps, whose captions people
wrote. Before: the same weights asked as the tuned ones are, and as the demo asks them, with the prompt's instruction
and examples and bound to the words of the sources: a figure to compare with, since examples do much by themselves. What
is tuned is thrown away.

Acceptance alone would reward a model that copies. So it is also counted how many answers are the rules' own merge of
the triple, how many are the template's text, how much of the realistic text's order they keep, and why answers fail.
"""

import resource
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmarks.material.gloss_merges import Case, read_cases
from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.demo.dictionary import PACKAGES
from realsyn_ops.demo.packages import fetch
from realsyn_ops.kinds import Question
from realsyn_ops.models.prompt import Message, question_messages
from realsyn_ops.records import fold_space
from realsyn_ops.stages.synthesize import boilerplate_openings, count_openings, grounding_reason, template_text

if TYPE_CHECKING:
    from realsyn_ops.models.tuning import Example

SUMMARY = "a small rewriter tuned on a CPU: answers that the grounding gate accepts, before and after"
MAX_WORDS, MAX_NEW_TOKENS = 60, 48
MIN_GAIN, MIN_STAMPS_GAIN, MAX_SECONDS = 0.3, 0.0, 1_800
Answers = list[str]


def measure(
    home: Path,
    console: Console,
    *,
    steps: int = 18,
    examples: int = 400,
    made: int = 24,
    stamps: int = 16,
    threads: int = 1,
) -> Measurement:
    """Tuned for so many steps of eight examples, drawn from so many definitions; judged on so many triples.

    Two threads are faster on an idle machine, and ten times slower than one where others use its cores.
    """
    import torch

    from realsyn_ops.models.load import load_rewriter
    from realsyn_ops.models.smollm2 import load_smollm2
    from realsyn_ops.models.tuning import Recipe, complete, tune

    started, cpu_started = time.monotonic(), time.process_time()
    torch.set_num_threads(threads)
    of_definitions, of_stamps = read_cases(fetch(PACKAGES, home / "cache"))
    held_out = {
        "made": list(islice(filter(_is_right, of_definitions), made)),
        "stamps": _one_a_synset(of_stamps)[:stamps],
    }
    taught = [case for case in of_definitions[-examples:] if _is_right(case)]
    model, tokenizer = load_smollm2(home / "models", "cpu")

    def ask(prompt: Callable[[Case], str]) -> Callable[[list[Case]], Answers]:
        return lambda cases: complete(model, tokenizer, [prompt(case) for case in cases], max_new_tokens=MAX_NEW_TOKENS)

    figures: dict[str, Any] = {}
    accepted: dict[tuple[str, str], float] = {}
    bound = load_rewriter("demo", device="cpu", threads=threads, models_path=home / "models")

    def judge(name: str, answer: Callable[[list[Case]], Answers]) -> None:
        for of, cases in held_out.items():
            console.print(f"{name}, {of}: {len(cases)} answers", highlight=False)
            figures[f"{name}, {of}"] = found = judged(cases, answer(cases))
            accepted[name, of] = found["accepted"]

    judge("before, asked alike", ask(_short))
    judge("before, as the demo asks", lambda cases: _bound(bound, cases))
    console.print(f"{steps} steps on {len(taught)} merges", highlight=False)
    tuning_started = time.monotonic()
    losses = tune(
        model,
        tokenizer,
        [_example(case) for case in taught],
        Recipe(n_steps=steps, learning_rate=2e-3),
        report=_told(console),
    )
    tuning_seconds = time.monotonic() - tuning_started
    judge("after", ask(_short))
    figures |= {
        "loss of the first and last ten steps": f"{_mean(losses[:10]):.3f} -> {_mean(losses[-10:]):.3f}",
        "tuning_seconds": tuning_seconds,
        "cpu_seconds": time.process_time() - cpu_started,
        "seconds": time.monotonic() - started,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
    }
    before = {of: accepted["before, asked alike", of] for of in held_out}
    return Measurement(
        f"{len(taught)} merges of definitions; held out {', '.join(f'{len(c)} {of}' for of, c in held_out.items())}",
        figures,
        [
            Check(
                "more accepted than before, asked alike: made",
                accepted["after", "made"] - before["made"],
                ">=",
                MIN_GAIN,
            ),
            Check(
                "more accepted than before, asked alike: stamps",
                accepted["after", "stamps"] - before["stamps"],
                ">=",
                MIN_STAMPS_GAIN,
            ),
            Check("seconds", figures["seconds"], "<=", MAX_SECONDS),
        ],
    )


def judged(cases: list[Case], answers: Answers) -> dict[str, Any]:
    """Shares of the answers, and why the gate refused the rest."""
    reasons = [grounding_reason(a, case.merge, max_words=MAX_WORDS) for case, a in zip(cases, answers, strict=True)]
    passed = [(case, fold_space(a)) for case, a, reason in zip(cases, answers, reasons, strict=True) if reason is None]
    refused = Counter(reason for reason in reasons if reason)
    common = boilerplate_openings(count_openings(answers), len(answers), max_share=0.1, min_texts=5)
    return {
        "accepted": len(passed) / len(cases),
        "of_these_the_rules_own": _share(passed, lambda case, text: text == case.answer),
        "the_templates": _share(passed, lambda case, text: text == template_text(case.merge)),
        "pairs_of_words_kept": _mean([_kept(case, text) for case, text in passed]),
        "uses_caption_words": _share(passed, _uses_caption),
        "openings_shared": ", ".join(sorted(common)),
        "refused": ", ".join(f"{reason} {n}" for reason, n in refused.most_common()),
        "examples": " / ".join(text for _, text in passed[:3]),
    }


def _is_right(case: Case) -> bool:
    return grounding_reason(case.answer, case.merge, max_words=MAX_WORDS) is None


def _one_a_synset(stamps: list[Case]) -> list[Case]:
    return list({case.synset: case for case in reversed(stamps)}.values())


def _example(case: Case) -> "Example":
    from realsyn_ops.models.tuning import Example

    return Example(_short(case), case.answer)


def _short(case: Case) -> str:
    """The question alone: what a tuned model needs."""
    return _chat(question_messages(Question(case.merge)))


def _chat(messages: list[Message]) -> str:
    turns = (f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in messages)
    return f"{''.join(turns)}<|im_start|>assistant\n"


def _bound(rewriter: Any, cases: list[Case]) -> Answers:
    return [answer.text for answer in rewriter.answer([Question(case.merge) for case in cases], lambda arrived: None)]


def _kept(case: Case, text: str) -> float:
    """Share of the realistic text's pairs of neighbouring words that stand side by side in the answer."""
    words, answer = (fold_space(some).lower().strip(".").split() for some in (case.merge.realistic_text, text))
    pairs = set(pairwise(words))
    return len(pairs.intersection(pairwise(answer))) / max(1, len(pairs))


def _uses_caption(case: Case, text: str) -> bool:
    """Whether a word of more than three letters stands in the caption, the answer, and not in the realistic text."""
    words, caption, realistic = (
        set(some.lower().replace(".", "").replace(",", "").split())
        for some in (text, case.merge.caption, case.merge.realistic_text)
    )
    return any(len(word) > 3 for word in words & (caption - realistic))


def _share(passed: list[tuple[Case, str]], holds: Callable[[Case, str], bool]) -> float:
    return sum(holds(case, text) for case, text in passed) / max(1, len(passed))


def _mean(values: list[float]) -> float:
    return sum(values) / max(1, len(values))


def _told(console: Console) -> Callable[[int, float], None]:
    def tell(step: int, loss: float) -> None:
        if step % 25 == 0:
            console.print(f"step {step}: loss {loss:.3f}", highlight=False)

    return tell
