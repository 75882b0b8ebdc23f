"""The page about the client: each of its examples, run as it stands against `stentor serve`."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import PHONES
from tests.integration.cli.commands import Cluster

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
pytestmark = pytest.mark.timeout(240)


async def run(folder: Path, example: str, **variables: str) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", example),
        cwd=folder,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert (process.returncode, err.decode()) == (0, "")
    return out.decode().splitlines()


async def test_the_examples_do_what_the_page_says(folder: Path) -> None:
    settings = folder / "stentor.toml"
    settings.write_text(settings.read_text() + '\n[api]\nlisten = "127.0.0.1:0"\n')
    cluster = Cluster(settings)
    key = (await cluster.json("key", "create", "shop", "--scope", "admin", "--json"))["key"]
    campaign, blocking, message, lists = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    async with cluster.running("serve") as served:
        url = (await served.until(r"dashboard are at (\S+)"))[1]
        variables = {"STENTOR_URL": url, "STENTOR_KEY": key}
        first, *events, last = await run(folder, campaign, **variables)
        assert re.fullmatch(rf"{PHONES} recipients, at least \d+ s", first)
        assert (events[0], events[-1]) == ("snapshot", "end")
        assert last == f"{PHONES} accepted, 0 failed"
        assert await run(folder, blocking, **variables) == ["precondition-failed"]
        assert await run(folder, message, **variables) == ["accepted"]
        assert await run(folder, lists, **variables) == ["5000 added, 0 lines with remarks"]
        assert await served.stop() == 0
    (table,) = await asyncio.to_thread(lambda: [path.read_text() for path in folder.glob("*.csv")])
    assert len(table.splitlines()) == PHONES + 1
    assert key not in "".join(served.log)
