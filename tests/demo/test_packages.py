from pathlib import Path

import pytest

from realsyn_ops.demo.packages import fetch
from realsyn_ops.errors import ServiceError


def test_without_apt_get_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ServiceError, match=r"apt-get is missing.*--input DIR"):
        fetch(["wordnet-base"], tmp_path / "cache")


def test_a_package_that_does_not_exist_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"could not download realsyn-no-such-package.*apt-get update"):
        fetch(["realsyn-no-such-package"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_unpacked_already_needs_no_apt_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wordnet-base").mkdir()
    monkeypatch.setenv("PATH", "")
    assert fetch(["wordnet-base"], tmp_path) == {"wordnet-base": tmp_path / "wordnet-base"}
