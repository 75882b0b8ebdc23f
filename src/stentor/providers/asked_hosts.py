"""Which hosts a lane waits for that sends one request a recipient, and how long ago each has answered.

Rules: a host is kept while a request to it is under way, or if it left its last one unanswered; of these the latest
alone, however many hosts there are.
"""

from __future__ import annotations

from dataclasses import dataclass

from stentor.providers.lane import HostState

REMEMBERED = 1024
"""Hosts without a request under way that are kept at most."""
LINGERS = 120.0
"""Seconds after its last request for which a host that left it unanswered is kept: who waits is tried again."""


@dataclass(slots=True)
class _Host:
    under_way: int = 0
    most: int = 0
    """Requests that were under way at a time since it last answered."""
    heard: int = 0
    trouble: str = ""
    asked_at: float = 0.0


class AskedHosts:
    """Of one lane. The time is passed in, of a clock that never goes back."""

    def __init__(self) -> None:
        self._heard = 0  # what happened that shows a host at work, of all hosts: never the same number twice
        self._under_way: dict[str, _Host] = {}
        self._unanswered: dict[str, _Host] = {}  # nothing is under way there; the oldest first

    def __repr__(self) -> str:
        return f"<AskedHosts: {len(self._under_way)} under way, {len(self._unanswered)} unanswered>"

    def ask(self, name: str, now: float) -> None:
        """A request to it begins."""
        host = self._under_way.get(name)
        if host is None:
            host = self._unanswered.pop(name) if name in self._unanswered else self._new()
            self._under_way[name] = host
        host.under_way += 1
        host.most = max(host.most, host.under_way)
        host.asked_at = now

    def settle(self, name: str) -> None:
        """One was answered, or nobody waits for its answer any more."""
        host = self._under_way[name]
        self._heard += 1
        host.heard = self._heard
        host.trouble = ""
        host.under_way -= 1
        host.most = host.under_way
        if not host.under_way:
            del self._under_way[name]

    def give_up(self, name: str, trouble: str) -> None:
        """One ended without an answer.

        Args:
            trouble: why there was no connection; empty if there was one.
        """
        host = self._under_way[name]
        host.under_way -= 1
        host.trouble = trouble
        if not host.under_way:
            del self._under_way[name]
            while len(self._unanswered) >= REMEMBERED:
                del self._unanswered[next(iter(self._unanswered))]
            self._unanswered[name] = host

    def _new(self) -> _Host:
        self._heard += 1
        return _Host(heard=self._heard)

    def states(self, now: float) -> list[HostState]:
        for name in [name for name, host in self._unanswered.items() if now - host.asked_at >= LINGERS]:
            del self._unanswered[name]
        return [
            HostState(name=name, waiting=host.most, answered=host.heard, trouble=host.trouble)
            for hosts in (self._under_way, self._unanswered)
            for name, host in hosts.items()
        ]
