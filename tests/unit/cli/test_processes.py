"""`stentor roles`: the work of each role, and the processes that do it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from stentor import words
from stentor.answer_times import AnswerTimeFigures
from stentor.recording.report import LaneProblem
from stentor.runtime.role_signs import RoleState, RoleStatus
from stentor.store.role_processes import ProcessSign, ServedLane
from tests.unit.cli.fake_stentor import Command, FakeStentor
from tests.unit.cli.moments import IOS, NOW


def process(silent_for: float = 4.0, role: str = "sender", host: str = "host-a") -> ProcessSign:
    return ProcessSign(
        id="a1",
        role=role,
        host=host,
        pid=71,
        version="1.2.3",
        started_at=NOW - 60,
        seen_at=NOW,
        silent_for=silent_for,
        lanes={IOS: ServedLane()} if role == "sender" else {},
    )


class Lanes:
    """What a `LaneControl` would tell."""

    def __init__(self, *processes: ProcessSign) -> None:
        self._processes = processes

    async def roles(self) -> Sequence[RoleStatus]:
        missing = LaneProblem(problem="no planner takes the work that is ready", remedy="start one")
        return [
            RoleStatus(role="planner", lane=None, state=RoleState.WAITED_FOR, problem=missing),
            RoleStatus(role="sender", lane=IOS, state=RoleState.WORKING, problem=None),
        ]

    async def processes(self) -> Sequence[ProcessSign]:
        return self._processes

    async def answer_times(self) -> dict[str, AnswerTimeFigures]:
        return {IOS: AnswerTimeFigures(timed=500, median=0.0331, slowest=1.24)}


def shown(stentor: Command, fake: Any, *processes: ProcessSign, more: Sequence[str] = ()) -> str:
    fake.lanes = Lanes(*processes)
    done = stentor("roles", *more)
    assert done.exit_code == 0, done.output
    return str(done.stdout)


def test_who_runs_where_and_how_quickly_they_are_answered(stentor: Command, fake: FakeStentor) -> None:
    text = " ".join(shown(stentor, fake, process(), process(130.0, "planner", "[bold]host-b")).split())
    assert f"sender on host-a for {IOS}, running since {words.clock(NOW - 60)} (pid 71, version 1.2.3)" in text
    assert "last sign 4 s ago" in text
    assert "planner on [bold]host-b, running since" in text, "a name is no markup"
    assert "No sign for 2 min: it may have been killed, or cut off from the store." in text
    assert "half of the answers within 33 ms, 99 of 100 within 1.2 s" in text
    assert "waited for No planner takes the work that is ready" in text


def test_where_nobody_runs_it_says_how_to_start_them(stentor: Command, fake: FakeStentor) -> None:
    assert "`stentor serve` starts all roles" in shown(stentor, fake)


@pytest.mark.parametrize(("silent_for", "silent"), [(4.04, False), (30.0, False), (30.1, True)])
def test_for_programs(stentor: Command, fake: FakeStentor, silent_for: float, silent: bool) -> None:
    found = json.loads(shown(stentor, fake, process(silent_for), more=["--json"]))
    assert [each["state"] for each in found["roles"]] == ["waited_for", "working"]
    [told] = found["processes"]
    assert (told["role"], told["host"], told["pid"], told["lanes"]) == ("sender", "host-a", 71, [IOS])
    assert (told["silent_for"], told["silent"]) == (round(silent_for, 1), silent)
