"""Other processes, as tests see them: Stentor's commands, and whether somebody's process is still there."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stentor.config import Config, dump

LOOK = 0.01
"""Seconds between two looks."""


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 - what happens in another process sets no event
        await asyncio.sleep(LOOK)


def bench(command: str, *options: str, **environment: str) -> dict[str, Any]:
    """What `stentor bench COMMAND` finds. It must say nothing else."""
    run = subprocess.run(
        [sys.executable, "-m", "stentor.cli", "bench", command, "--json", *options],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, **environment},
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def complaint(config: Config, role: str, *options: str) -> str:
    """What a worker says that cannot begin: not a traceback, because it is no fault of ours."""
    run = subprocess.run(
        [sys.executable, "-m", "stentor.runtime.process", role, *options],
        input=dump(config) + b"\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    said = run.stderr.decode()
    assert run.returncode == 1, said
    assert "Traceback" not in said
    return said
