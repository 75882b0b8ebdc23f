"""Runs other people's clients in Node and Go, whose programs are in `clients/`, against the simulators.

Their packages are installed and built once a session, for all of pytest's workers together. Where Node, Go or their
registries are missing the tests are skipped, and fail in CI.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

PROGRAMS = Path(__file__).with_name("clients")
INSTALLING_S, RUNNING_S = 600.0, 120.0
"""Seconds for which a busy machine is waited for: Go's first build compiles its library too."""


class Client:
    """A program that takes JSON, talks to a simulator, and prints JSON."""

    def __init__(self, command: list[str]) -> None:
        self._command = command

    async def run(self, ca_file: Path, **given: Any) -> dict[str, Any]:
        trust = {"NODE_EXTRA_CA_CERTS": str(ca_file), "SSL_CERT_FILE": str(ca_file)}
        process = await asyncio.create_subprocess_exec(
            *self._command, json.dumps(given), env={**os.environ, **trust}, stdout=-1, stderr=-1
        )
        try:
            async with asyncio.timeout(RUNNING_S):
                said, complaints = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, complaints.decode()
        found: dict[str, Any] = json.loads(said)
        return found


class Workshop:
    """Where the programs are installed and built, when the first of them is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def node(self, program: str) -> Client:
        return Client(["node", str(self._once("node", "npm", _install) / f"{program}.js")])

    def go(self, program: str) -> Client:
        return Client([str(self._once("go", "go", _build) / "clients"), program])

    def _once(self, language: str, tool: str, make: Callable[[Path], None]) -> Path:
        if shutil.which(tool) is None or shutil.which(language) is None:
            _absent(f"{tool} isn't installed")
        folder = self._folder / language
        with (self._folder / f"{language}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                fresh = folder.with_suffix(".fresh")
                shutil.rmtree(fresh, ignore_errors=True)
                shutil.copytree(PROGRAMS / language, fresh)
                try:
                    make(fresh)
                except subprocess.CalledProcessError as error:
                    _absent(f"the clients in {language} can't be made: {error.stderr.strip()[-300:]}")
                fresh.rename(folder)
        return folder


def _install(folder: Path) -> None:
    options = ["--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    _make(["npm", "ci", *options], folder)


def _build(folder: Path) -> None:
    _make(["go", "build", "-mod=readonly", "-o", "clients", "."], folder)


def _make(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=INSTALLING_S)


def _absent(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
