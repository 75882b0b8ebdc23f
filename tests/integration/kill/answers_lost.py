"""Browsers get a message whose answer is lost on the way back, and its life ends before the next try."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stentor.outcome import Outcome
from stentor.simulators.faults import Faults, Trigger
from tests.integration.kill.stage import Stage, prove

LOSSES = Faults(script=tuple(Trigger(after=number, do="drop_after_accept") for number in range(20, 600)))
"""Whatever comes after the twentieth message is taken, and then its connection is lost, with all answers on it."""
LIFETIME = 12.0
"""Seconds, in which there is time for some tries, on a busy machine too."""
RECIPIENTS = 90
SHORT: Mapping[str, Any] = {"recipients": RECIPIENTS, "lifetime": LIFETIME, "longest_backoff": 1.0, "batch": 30}


async def see_that_nobody_expired_who_has_it(stage: Stage) -> None:
    """Who may have got it is ambiguous, whatever came after."""
    await prove(stage, unsure=stage.addresses.keys())
    people = (await stage.people()).values()
    again = [person for person in people if len(person.sends) > 1]
    unsure = [person for person in people if person.sends and person.outcome is Outcome.AMBIGUOUS]
    assert again or unsure, "no answer was lost"
