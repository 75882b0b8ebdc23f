"""The examples of the page about the library, run as they stand against both simulators."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from stentor import Stentor, load
from stentor.cli import stage
from stentor.cli.crowd import Crowd
from stentor.simulators.apns import ApnsSimulator
from stentor.simulators.faults import Devices, Faults
from stentor.simulators.fcm import FcmSimulator

PAGE = (Path(__file__).parents[2] / "docs" / "library.md").read_text("utf-8")
PHONES = 400
DEAD = Faults(devices=Devices(unregistered=0.05))


async def test_the_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, "library.md", "exec"), names)  # the page is ours
    stage.make_database(tmp_path / stage.DATABASE, Crowd(PHONES))
    async with ApnsSimulator(faults=DEAD, seed=1) as apns, FcmSimulator(faults=DEAD, seed=1) as fcm:
        file = stage.write_settings(tmp_path, {"apns": apns.facts(), "fcm": fcm.facts()})
        monkeypatch.setenv("STENTOR_CONFIG", str(file))

        await names["announce"]()  # type: ignore[operator]  # a function of the page
        said = capsys.readouterr().out.splitlines()
        reached = len(apns.ledger) + len(fcm.ledger)
        assert said[0].startswith("200 people, ")
        assert said[1] == f"{reached} accepted, {200 - reached} failed, completed"
        assert len(said[2:]) == 200 - reached > 0
        assert {line.split()[1] for line in said[2:]} == {"Unregistered", "UNREGISTERED"}

        await names["look"]()  # type: ignore[operator]
        said = capsys.readouterr().out.splitlines()
        assert said[0] == f"Doors open completed {reached}"
        assert any("read" in line for line in said)

        await asyncio.to_thread(names["remind"])  # type: ignore[arg-type]
        assert capsys.readouterr().out in ("3\n", "2\n")

        await names["try_it"]("ab" * 32)  # type: ignore[operator]
        assert capsys.readouterr().out in ("accepted\n", "Unregistered: The device has gone; forget the token.\n")

        async with Stentor(load()) as stentor:
            newest = (await stentor.campaigns.newest(limit=1))[0]
        await names["follow"](newest.id)  # type: ignore[operator]
        assert [line.partition(" ")[2] for line in capsys.readouterr().out.splitlines()] == ["failed", ""]

        await hand_over(names["hand_over"])
        *counts, state = capsys.readouterr().out.splitlines()
        assert state == "completed"
        assert PHONES * 0.9 < int(counts[-1]) < PHONES


def test_the_examples_of_messages_are_valid(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    for example in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(example, "library.md", "exec"), names)
    content = names["compose"]()
    content.check()
    said = content.render(content.language_index("de-AT"), {})
    assert (said.title, said.body) == ("50 % {off}", "Folge 12 ist da.")
    assert (said.apns.thread_id, said.fcm.channel_id) == ("episodes", "episodes")
    file = tmp_path / "episode.toml"
    file.write_text('title = "Episode {{ episode }}"\n[apns]\nthread_id = "episodes"\n')
    assert names["from_file"](file).render(0, {}).title == "Episode 12"


async def hand_over(example: object) -> None:
    """While roles run elsewhere."""
    stop = asyncio.Event()
    async with Stentor(load()) as stentor, asyncio.TaskGroup() as group:
        group.create_task(stentor.roles.serve(stop, senders=1))
        await example()  # type: ignore[operator]  # a function of the page
        stop.set()
