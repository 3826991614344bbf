"""The systems that benchmarks race against: each in a virtual environment of its own, made on first use from its lock.

A peer never enters the project's environment: their pins fight ours, and its absence must break nothing but a race.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from realsyn_ops.cli.services import PROJECT
from realsyn_ops.errors import ServiceError

LOCKS = PROJECT / "benchmarks" / "peers"


def peer_python(name: str, home: Path, console: Console) -> Path:
    """The Python of the peer's environment `home/peers/NAME`, made from `benchmarks/peers/NAME.lock` if it is not.

    Raises ServiceError when it cannot be installed.
    """
    lock = LOCKS / f"{name}.lock"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    folder = home / "peers" / name
    marker, python = folder / "peer.lock", folder / "bin" / "python"
    if marker.is_file() and marker.read_text() == wanted:
        return python
    console.print(f"installing the peer {name} into {folder} (once)", highlight=False)
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(lock)],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServiceError(f"the peer {name} cannot be installed: {done.stderr.strip()[-500:]}")
    marker.write_text(wanted)
    return python


def run_peer(name: str, script: str, arguments: list[str], home: Path, console: Console) -> dict[str, Any]:
    """Run `benchmarks/peers/SCRIPT` under the peer's Python; its last line of standard output is one JSON object.

    Raises ServiceError with the end of its error output when it fails.
    """
    python = peer_python(name, home, console)
    command = [str(python), str(LOCKS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceError(f"the peer {name} failed: {done.stderr.strip()[-1000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer
