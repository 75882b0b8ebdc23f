"""Decides which accident befalls which request or connection. Counts, and nothing else; `peer.py` carries it out."""

from __future__ import annotations

from dataclasses import dataclass

from stentor.simulators.chance import Chance
from stentor.simulators.faults import Faults, GoAwayForm, GoAwayThen, MalformedForm, ScriptedAct, Storm, Unavailable


@dataclass(frozen=True, slots=True)
class Act:
    """One accident, with all that has to be known to carry it out."""

    do: ScriptedAct
    form: GoAwayForm = "graceful"
    then: GoAwayThen = "answer"
    malformed: MalformedForm = "html502"
    lucky: bool = False
    """A coin: for a reset, whether the message was accepted first."""


class Injector:
    def __init__(self, faults: Faults, chance: Chance) -> None:
        self._faults = faults
        self._chance = chance
        self._script = {trigger.after: trigger for trigger in faults.script}
        self.requests = 0
        self.opened_streams = 0
        self.connections = 0
        self.zero_armed = False
        """The next connection gets GOAWAY with last stream id 0 at once."""
        reset, drop = faults.reset, faults.drop
        self.touches_requests = bool(
            self._script
            or faults.goaway.every
            or faults.stream_limit.drop_every
            or drop.after_accept_every
            or reset.refused + reset.internal + reset.cancel
            or faults.malformed.share
        )
        """False: no request need be asked about."""

    def __repr__(self) -> str:
        return f"<Injector after {self.requests} requests, {self.connections} connections>"

    def on_request(self) -> Act | None:
        """The accident of the next request, if it has one. At most one each: the script's before any other."""
        self.requests += 1
        count = self.requests
        trigger = self._script.get(count)
        if trigger is not None:
            lucky = self._lucky(count)
            return Act(trigger.do, trigger.form, trigger.then, trigger.malformed, lucky)
        faults = self._faults
        if _due(count, faults.goaway.every):
            turn = count // faults.goaway.every - 1
            forms, then = faults.goaway.forms, faults.goaway.then
            return Act("goaway", forms[turn % len(forms)], then[int(self._draw(b"then", count) * len(then))])
        if _due(count, faults.drop.after_accept_every):
            return Act("drop_after_accept")
        if _due(count, faults.stream_limit.drop_every):
            return Act("limit_drop")
        return self._by_share(count)

    def _by_share(self, count: int) -> Act | None:
        reset = self._faults.reset
        draw = self._draw(b"reset", count)
        for share, do in (
            (reset.refused, "reset_refused"),
            (reset.internal, "reset_internal"),
            (reset.cancel, "reset_cancel"),
        ):
            draw -= share
            if draw < 0:
                return Act(do, lucky=self._lucky(count))  # type: ignore[arg-type]  # the literals just above
        malformed = self._faults.malformed
        if malformed.share and self._draw(b"malformed", count) < malformed.share:
            form = malformed.forms[int(self._draw(b"form", count) * len(malformed.forms))]
            return Act("malformed", malformed=form)
        return None

    def headers_until_cut(self) -> int | None:
        """How many more streams may open, on any connection, until one is cut between its headers and its body."""
        every = self._faults.drop.before_body_every
        return every - self.opened_streams % every if every else None

    def drops_this_handshake(self) -> bool:
        """Whether the connection just counted dies while TLS is being set up."""
        return _due(self.connections, self._faults.drop.during_tls_every)

    def _draw(self, purpose: bytes, count: int) -> float:
        return self._chance.counted(purpose, count)

    def _lucky(self, count: int) -> bool:
        return self._draw(b"lucky", count) < 0.5


def _due(count: int, every: int) -> bool:
    return bool(every) and count % every == 0


def is_raging(window: Storm | Unavailable, elapsed: float) -> bool:
    """Whether a time of trouble is on, so many seconds after the start."""
    since = elapsed - window.at_s
    if not window.for_s or since < 0:
        return False
    if window.every_s:
        since %= window.every_s
    return since < window.for_s
