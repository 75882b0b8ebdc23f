"""The page about the API: each of its curl commands, run as it stands against `stentor serve`."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import PHONES
from tests.integration.cli.commands import Cluster

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
BIN = Path(sys.executable).parent
ANY_PORT = '\n[api]\nlisten = "127.0.0.1:0"\n'
pytestmark = pytest.mark.timeout(240)


def commands() -> list[str]:
    """The page's shell commands, in order."""
    return re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


async def shell(folder: Path, command: str, **variables: str) -> str:
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **variables}
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euc", command),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, (command, err.decode())
    return out.decode()


@pytest.mark.skipif(shutil.which("curl") is None and not os.environ.get("CI"), reason="curl is not installed")
async def test_the_commands_do_what_the_page_says(folder: Path) -> None:
    settings = folder / "stentor.toml"
    text = settings.read_text()
    settings.write_text(text + ANY_PORT)
    first, *others = commands()
    key = "".join(await shell(folder, f"{first}\ncat shop.key")).strip()
    variables = {"KEY": f"Authorization: Bearer {key}"}
    async with Cluster(settings).running("serve") as served:
        variables["STENTOR"] = (await served.until(r"dashboard are at (\S+)"))[1]
        told: list[Any] = []
        for command in others:
            wanted = command.replace('"expect_recipients": 3', f'"expect_recipients": {PHONES}')
            out = await shell(folder, wanted, **variables)
            told.append(out)
            if "start=true" in command:
                variables["CAMPAIGN"] = json.loads(out)["id"]
        assert json.loads(told[0])["scope"] == "admin"
        assert json.loads(told[1])["recipients"] == PHONES
        assert json.loads(told[2])["state"] == "running"
        events = [line for line in told[4].splitlines() if line.startswith("event: ")]
        assert (events[0], events[-1]) == ("event: snapshot", "event: end")
        assert json.loads(told[5]) == {"failures": [], "next": None}
        assert len(told[6].splitlines()) == PHONES + 1
        assert [each["outcome"] for each in json.loads(told[7])["recipients"]] == ["accepted"]
        assert json.loads(told[8])["change"] == "added"
        assert json.loads(told[9])["counts"]["read"] == 2
        assert await served.stop() == 0
