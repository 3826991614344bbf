"""Settings: read from REALSYN_ variables, checked, and not changed afterwards."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from realsyn_ops.settings import Settings, settings


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"REALSYN_{name.upper()}", raising=False)


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("REALSYN_BUCKET", "other", "other"),
        ("REALSYN_THREADS", "4", 4),
        ("REALSYN_MODELS_PATH", "/srv/models", Path("/srv/models")),
        ("REALSYN_PRESET", "paper", "paper"),
        ("REALSYN_DEVICE", "cuda:1", "cuda:1"),
        ("REALSYN_REWRITER", "http://host:8000/v1#model", "http://host:8000/v1#model"),
    ],
)
def test_a_variable_replaces_the_default(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, value: object
) -> None:
    default = Settings().model_dump()
    monkeypatch.setenv(variable, text)
    found = Settings().model_dump()
    name = variable.removeprefix("REALSYN_").lower()
    assert found == {**default, name: value}


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("REALSYN_THREADS", "0"),
        ("REALSYN_THREADS", "many"),
        ("REALSYN_RAY_ADDRESS", "http://ray-head:10001"),
        ("REALSYN_RAY_ADDRESS", "ray-head"),
        ("REALSYN_PRESET", "huge"),
        ("REALSYN_PRESET", ""),
    ],
)
def test_a_wrong_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, variable: str, text: str) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ValidationError) as raised:
        Settings()
    assert [error["loc"] for error in raised.value.errors()] == [(variable.removeprefix("REALSYN_").lower(),)]


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="buckett"):
        Settings(buckett="x")  # type: ignore[call-arg]


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().bucket = "other"  # type: ignore[misc]


def test_a_process_has_one_set_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings.cache_clear()
    first = settings()
    monkeypatch.setenv("REALSYN_BUCKET", "too-late")
    assert settings() is first
    settings.cache_clear()


def test_no_setting_is_a_secret_and_each_is_described() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description
        assert not {"key", "secret", "password", "token"} & set(name.split("_"))
