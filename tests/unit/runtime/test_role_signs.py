"""What the work shows of the roles."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from stentor.config import Config
from stentor.queue.contract import Depth
from stentor.recording.report import LaneProblem
from stentor.runtime.role_signs import RoleSigns, RoleState

LANE = "webpush/web"


@pytest.mark.parametrize(
    ("waiting", "depth", "state"),
    [
        (None, Depth(ready=3), RoleState.HINDERED),
        (40, Depth(ready=3), RoleState.WAITED_FOR),
        (40, Depth(ready=3, leased=1), RoleState.WORKING),
        (40, Depth(), RoleState.IDLE),
        (None, Depth(), RoleState.IDLE),
    ],
)
def test_senders_are_hindered_where_the_whole_lane_is(waiting: int | None, depth: Depth, state: RoleState) -> None:
    """Not where a part of it waits: the rest can be sent, if anybody is there."""
    resources: Any = SimpleNamespace(config=Config(), database=None, backend=None, clock=time.time)
    signs = RoleSigns(resources)
    problem = LaneProblem(problem="its host is silent", waiting=waiting)
    assert signs._taker("sender", LANE, depth, {LANE: problem}).state is state
