"""Which of a lane's hosts are silent: recipients wait for them, and they answer nothing.

One push service among several may stand still, or one webhook receiver among thousands. The lane goes on for all
others, and people are told its name within seconds. Rules: what is kept is bounded by what the lane lists; a host that
answers is named no longer; the words change at most every few seconds, so that hosts that are merely slow fill no log.
Pure; the time is passed in.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Sequence
from dataclasses import dataclass

from stentor.counted import counted
from stentor.providers.lane import HostState
from stentor.sending.gate import Problem
from stentor.sending.silence import LOOKS, SILENT

NAMED = 3
"""Hosts that are named at most: those for which most recipients wait."""
LONGEST_NAME = 100
REWORDED = 5.0
"""Seconds for which the words stay, while any of the hosts that they name is silent."""


@dataclass(slots=True)
class _Heard:
    answered: int
    since: float
    looks: int = 0


class SilentHosts:
    """What one process has heard from the hosts of one lane."""

    def __init__(self, kind: str) -> None:
        """Args:
        kind: what a host is called; see `lane.ListsHosts`.
        """
        self.problem: Problem | None = None
        """None while each host answers, or nobody waits for it."""
        self.count = 0
        """How many are silent."""
        self._kind = kind
        self._heard: dict[str, _Heard] = {}
        self._named: frozenset[str] = frozenset()
        self._worded_at = 0.0

    def __repr__(self) -> str:
        return f"<SilentHosts: {self.count} of {len(self._heard)}>"

    def look(self, hosts: Sequence[HostState], now: float, clock: float) -> None:
        """See which of the hosts are silent.

        Args:
            hosts: all for which recipients wait; none: nobody waits.
            now: seconds, of a clock that never goes back.
            clock: the same moment in epoch seconds.
        """
        self._heard = {each.name: self._listen(each, now) for each in hosts}
        silent = [each for each in hosts if self._is_silent(each.name, now)]
        self.count = len(silent)
        if not silent:
            self.problem = None
        elif self.problem is None or now - self._worded_at >= REWORDED or not self._named & {e.name for e in silent}:
            worst = heapq.nlargest(NAMED, silent, key=lambda each: (each.waiting, each.name))
            self._named = frozenset(each.name for each in worst)
            self._worded_at = now
            self.problem = self._told(worst, silent, clock - now)

    def _listen(self, host: HostState, now: float) -> _Heard:
        heard = self._heard.get(host.name)
        if heard is None or heard.answered != host.answered:
            return _Heard(host.answered, now)
        heard.looks += 1
        return heard

    def _is_silent(self, name: str, now: float) -> bool:
        heard = self._heard[name]
        return heard.looks >= LOOKS and now - heard.since >= SILENT

    def _told(self, worst: Sequence[HostState], silent: Sequence[HostState], epoch: float) -> Problem:
        waiting = sum(each.waiting for each in silent)
        if len(silent) == 1:
            what = f"the {self._kind} {self._silence(worst[0], epoch)}; all others go on"
        else:
            named = ", ".join(self._silence(each, epoch) for each in worst)
            rest = len(silent) - len(worst)
            more = f", and {counted(rest, 'other')}" if rest else ""
            what = f"{counted(len(silent), self._kind)} answer nothing: {named}{more}; all others go on"
        lasts = f"if it lasts, look whether the {self._kind} has an outage"
        remedy = f"nothing to do here: those who wait are tried again by themselves; {lasts}"
        return Problem(what=what, remedy=remedy, pause=None, waiting=waiting)

    def _silence(self, host: HostState, epoch: float) -> str:
        name = host.name if len(host.name) <= LONGEST_NAME else f"{host.name[:LONGEST_NAME]}…"
        since = time.strftime("%H:%M:%S UTC", time.gmtime(self._heard[host.name].since + epoch))
        state = "is connected and " if not host.trouble else ""
        why = f": {host.trouble}" if host.trouble else ""
        waits = f"{counted(host.waiting, 'recipient')} or more {'waits' if host.waiting == 1 else 'wait'}"
        return f"{name} {state}has answered nothing since {since}{why} ({waits})"
