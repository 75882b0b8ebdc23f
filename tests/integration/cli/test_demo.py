"""The demo as a process: exact, and nothing left behind however it ends; and that it would notice a wrong account."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path

import httpx
import pytest

from stentor.cli import stage
from stentor.cli.crowd import CHANNELS, Crowd
from stentor.simulators.apns import ApnsSimulator
from tests.integration.cli.commands import Cluster

COMMAND = (sys.executable, "-m", "stentor.cli")


async def start(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    """A command whose temporary files go to `folder`. The simulators it starts share its stderr."""
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        env={**os.environ, "TMPDIR": str(folder), "STENTOR_STORE__URL": "sqlite:////nowhere/else.db"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_the_demo_is_exact_and_can_be_kept(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    kept = tmp_path / "kept"
    demo = await start(temporary, "demo", "--recipients", "6000", "--keep", str(kept), "--json")
    out, err = await demo.communicate()
    assert demo.returncode == 0, err.decode()
    found = json.loads(out)
    assert found["exact"]
    assert found["audit"]["exact"]
    assert found["report"]["installations"] == 6000
    for lane in found["ledgers"]:
        assert lane["recipients"] == 3000
        assert lane["phones"] == lane["accepted"] < 3000
        assert lane["missing"] == lane["unexpected"] == lane["violations"] == 0
        assert lane["duplicates"] == lane["collapsing"]
    reached = sum(lane["accepted"] for lane in found["ledgers"])
    assert found["report"]["accepted"] == reached
    assert 6000 * 0.98 < reached < 6000
    assert os.listdir(temporary) == []

    explained = await asyncio.create_subprocess_exec(
        *(*COMMAND, "campaign", "explain", "last", "17", "--config", str(kept / "stentor.toml"), "--json"),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await explained.communicate()
    assert json.loads(out)["outcome"] in ("accepted", "rejected")

    again = await start(temporary, "demo", "--keep", str(kept))
    _, err = await again.communicate()
    assert again.returncode == 2
    assert b"there is something in it" in err


async def test_the_dashboard_that_the_demo_names_opens(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    demo = await start(tmp_path, "demo", "--recipients", "300", "--keep", str(kept))
    out, err = await demo.communicate()
    assert demo.returncode == 0, err.decode()
    said = out.decode()
    assert re.search(r"The dashboard: run `\S+ serve`, and open the link that it shows\.\nIt is at http://127", said)
    named = re.search(r"export STENTOR_CONFIG=(\S+)", said)
    assert named is not None
    async with Cluster(Path(named[1]), STENTOR_API__LISTEN="127.0.0.1:0").running("serve") as served:
        at, _ = await served.until_all(r"the API and the dashboard are at (\S+)", "run `stentor user link` for a link")
        async with httpx.AsyncClient(base_url=at[1], timeout=60) as browser:
            assert "<h1>Sign in</h1>" in (await browser.get("/sign-in")).text
        assert await served.stop() == 0


async def test_the_demo_plays_on_all_channels(tmp_path: Path) -> None:
    demo = await start(tmp_path, "demo", "--recipients", "300", "--channels", ",".join(CHANNELS), "--json")
    out, err = await demo.communicate()
    assert demo.returncode == 0, err.decode()
    found = json.loads(out)
    assert found["exact"]
    assert [lane["lane"].partition("/")[0] for lane in found["ledgers"]] == list(CHANNELS)
    assert {lane["recipients"] for lane in found["ledgers"]} == {60}
    assert all(lane["missing"] == lane["unexpected"] == 0 for lane in found["ledgers"])


async def test_a_channel_that_has_no_part_in_it_is_named(tmp_path: Path) -> None:
    demo = await start(tmp_path, "demo", "--channels", "apns,pigeon")
    _, err = await demo.communicate()
    assert demo.returncode == 2
    assert "--channels pigeon: there are apns, fcm, webpush, telegram, discord" in err.decode()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", [b"Apple, simulated", b" running: "])
async def test_interrupted_it_leaves_nothing(tmp_path: Path, sign: signal.Signals, moment: bytes) -> None:
    demo = await start(tmp_path, "demo", "--recipients", "200000")
    assert demo.stdout is not None
    while moment not in (line := await demo.stdout.readline()):
        assert line, await demo.communicate()
    demo.send_signal(sign)
    _, err = await demo.communicate()  # ends when the last process that writes there is gone
    assert demo.returncode == 130
    assert err.decode() == "Interrupted. The simulators are stopped, and nothing is left behind.\n"
    assert os.listdir(tmp_path) == []


async def test_a_wrong_account_is_noticed() -> None:
    async with ApnsSimulator(control_port=0) as apns:
        for number, dedup_id in ((1, "c"), (3, "c"), (3, "c"), (5, "c"), (5, "other"), (7, "c")):
            apns.ledger.record(f"{number:064x}", dedup_id, f"id-{number}-{dedup_id}", 0.0)
        found = await stage.compare("apns", apns.facts(), Crowd(10), {7}, "c")
    assert (found.recipients, found.accepted, found.phones) == (5, 4, 4)
    assert (found.missing, found.unexpected) == (1, 1)  # 9 and 7
    assert (found.duplicates, found.collapsing) == (2, 1)
    assert not found.exact
