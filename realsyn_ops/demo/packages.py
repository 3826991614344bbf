"""Debian packages as folders: downloaded and unpacked with Debian's own tools, never installed.

Nothing else is fetched here.
"""

import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from realsyn_ops.errors import ServiceError

_LISTS = Path("/var/lib/apt/lists")
_TIMEOUT_S = 1800

log = logging.getLogger(__name__)


def fetch(packages: Sequence[str], into: Path) -> dict[str, Path]:
    """The unpacked folder of each package, ``into/<package>``; what is there already is not fetched again.

    A folder appears whole or not at all. Raises ServiceError naming what to install or run.
    """
    into.mkdir(parents=True, exist_ok=True)
    return {package: _unpacked(package, into) for package in packages}


def _unpacked(package: str, into: Path) -> Path:
    folder = into / package
    if folder.is_dir():
        return folder
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise ServiceError(
                f"{tool} is missing: the demo documents come from Debian packages; "
                "run on Debian or Ubuntu, or give your own documents with --input DIR"
            )
    with tempfile.TemporaryDirectory(dir=into, prefix=f".{package}-") as scratch:
        log.info("fetching the Debian package %s", package)
        archive = _download(package, Path(scratch))
        content = Path(scratch) / "content"
        unpack = _run(["dpkg", "-x", str(archive), str(content)], Path(scratch))
        if unpack.returncode:
            raise ServiceError(f"dpkg could not unpack {archive.name}: {_last_line(unpack)}")
        try:
            content.replace(folder)
        except OSError:
            # Another process unpacked the same package first.
            if not folder.is_dir():
                raise
    return folder


def _download(package: str, scratch: Path) -> Path:
    command = ["apt-get", "-qq", "download", package]
    attempt = _run(command, scratch)
    if attempt.returncode and _lists_are_stale(attempt) and os.geteuid() == 0:
        _run(["apt-get", "-qq", "update"], scratch)
        attempt = _run(command, scratch)
    archives = sorted(scratch.glob("*.deb"))
    if attempt.returncode or not archives:
        raise ServiceError(
            f"apt-get could not download {package}: {_last_line(attempt)}; "
            "run `apt-get update` as root and try again, or give your own documents with --input DIR"
        )
    return archives[0]


def _lists_are_stale(attempt: subprocess.CompletedProcess[str]) -> bool:
    return "404" in attempt.stderr or not any(_LISTS.glob("*_Packages*"))


def _run(command: list[str], scratch: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        return subprocess.run(
            command,
            cwd=scratch,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ServiceError(f"`{' '.join(command)}` did not end within {_TIMEOUT_S} s") from error


def _last_line(attempt: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in attempt.stderr.splitlines() if line.strip() and not line.startswith("W:")]
    return lines[-1].strip() if lines else f"exit code {attempt.returncode}"
