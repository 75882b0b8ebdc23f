"""The `stentor` command as processes, and what they log."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "stentor.cli")
RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \w+\[\d+\] (INFO|WARNING|ERROR) .+")


class Cluster:
    """The settings of one, by which commands are run."""

    def __init__(self, file: Path, **variables: str) -> None:
        self.file = file
        self._environment = {**os.environ, "STENTOR_CONFIG": str(file), **variables}

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *COMMAND,
            *arguments,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        process = await self.start(*arguments)
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def json(self, *arguments: str) -> Any:
        code, out, err = await self.run(*arguments)
        assert code == 0, err
        return json.loads(out)

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[Running]:
        process = await self.start(*arguments)
        found = Running(process)
        try:
            yield found
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


class Running:
    """A command that runs until it is told to stop, and what it logs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.log: list[str] = []

    async def until(self, pattern: str) -> re.Match[str]:
        """The first line from now on that has this in it."""
        assert self.process.stderr is not None
        while line := (await self.process.stderr.readline()).decode():
            self.log.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"it ended, and said only: {self.log}")

    async def until_all(self, *patterns: str) -> list[re.Match[str]]:
        """The first line from now on for each of them, in whatever order the lines come: two processes say them."""
        found: dict[str, re.Match[str]] = {}
        while missing := [pattern for pattern in patterns if pattern not in found]:
            line = (await self.until("|".join(missing))).string
            found |= {pattern: match for pattern in missing if (match := re.search(pattern, line))}
        return [found[pattern] for pattern in patterns]

    async def stop(self) -> int:
        """SIGTERM; its exit code. Each line that it said is a record."""
        self.process.terminate()
        out, err = await self.process.communicate()
        self.log += err.decode().splitlines()
        assert out == b""
        assert all(RECORD.fullmatch(line.strip()) for line in self.log), self.log
        assert self.process.returncode is not None
        return self.process.returncode
