"""What all connections of one simulator share: time, chance, faults, the ledger and the tally."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, NamedTuple, Protocol

from stentor.http2.frames import NO_ERROR
from stentor.simulators.chance import Chance, latency_of
from stentor.simulators.clock import MovableClock
from stentor.simulators.faults import Faults, GoAwayForm, MalformedForm, Storm, Unavailable
from stentor.simulators.injector import Injector, is_raging
from stentor.simulators.ledger import ProviderLedger
from stentor.simulators.request_headers import Header
from stentor.simulators.server_connection import Rules


class Judgement(NamedTuple):
    """What the provider says, and whether it took the message."""

    headers: list[Header]
    body: bytes
    reason: str
    """The provider's own word for a refusal, for the tally; empty when it said yes."""
    accepted: bool = False
    """Whether the message is in the provider's hands now; the ledger has those, and only those."""
    address: str = ""
    dedup_id: str = ""
    message_id: str = ""
    delay_s: float = 0.0
    """Over HTTP/1.1: how much longer than others it takes."""


class Session:
    """One connection as the provider sees it; providers extend it with what they remember."""

    __slots__ = ("farewell", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """The stream limit that the provider wants announced."""
        self.farewell: tuple[int, bytes] | None = None
        """Error code and debug data, once the provider wants the connection to end."""


class Provider(Protocol):
    """What a provider adds to the common machinery. Nothing in it does I/O."""

    name: str

    def open_session(self, certificate_topic: str | None) -> Session: ...

    def rules(self, session: Session) -> Rules: ...

    def judge(self, session: Session, headers: list[Header], body: bytes) -> Judgement:
        """Everything that the provider would check, in its order."""
        ...

    def malform(self, form: MalformedForm, answer: Judgement) -> Judgement:
        """The answer, spoilt; `accepted` only if the spoilt one is a yes."""
        ...

    def goaway_words(self, form: GoAwayForm) -> tuple[int, bytes]: ...

    def facts(self) -> dict[str, Any]:
        """What a sender must be told to use this simulator, for the line that `--json` prints."""
        ...


@dataclass(slots=True)
class SimulatorTally:
    """Counts, for `/summary` and the closing words."""

    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    injected: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    turned_away: int = 0
    handshakes_failed: int = 0
    streams_high_water: int = 0
    deleted: int = 0
    """Messages that were taken back, by providers that know each of them."""
    edited: int = 0


class World:
    def __init__(self, *, seed: int, faults: Faults, clock: MovableClock) -> None:
        self.seed = seed
        self.clock = clock
        self.chance = Chance(seed)
        self.faults = faults
        self.injector = Injector(faults, self.chance)
        self.ledger = ProviderLedger()
        self.tally = SimulatorTally()
        self.violations: list[str] = []
        self.started = clock()
        self.more: Callable[[], dict[str, Any]] = dict
        """What a provider adds to the summary."""
        self._always_prompt = False
        self.set_faults(faults)

    def __repr__(self) -> str:
        return f"<World seed {self.seed}, {self.tally.accepted} accepted, {len(self.violations)} violations>"

    @property
    def elapsed(self) -> float:
        return self.clock() - self.started

    def set_faults(self, faults: Faults) -> None:
        """Swap the faults; counters begin anew, the ledger and the time since the start go on."""
        self.faults = faults
        self.injector = Injector(faults, self.chance)
        self._always_prompt = not faults.latency.median_s and not faults.latency.tail_share

    def reset(self) -> None:
        """As if just started; connections stay up."""
        self.ledger.clear()
        self.tally = SimulatorTally(connections=self.tally.connections)
        self.violations.clear()
        self.started = self.clock()
        self.set_faults(self.faults)

    def latency(self, address: str) -> float:
        if self._always_prompt:
            return 0.0
        return latency_of(self.chance, self.faults.latency, address.encode())

    def trouble(self, window: Storm | Unavailable, purpose: bytes, key: str) -> bool:
        """Whether a time of trouble is on and this key is in the share that it hits."""
        if not window.for_s or not is_raging(window, self.elapsed):
            return False
        return window.share >= 1 or self.chance.unit(purpose, key.encode()) < window.share

    def retry_after(self, choices: tuple[str, ...], key: str) -> list[Header]:
        """A Retry-After header, one of the choices by the address; `date:N` is N seconds from now as an HTTP date."""
        if not choices:
            return []
        choice = choices[int(self.chance.unit(b"retry after", key.encode()) * len(choices))]
        if choice.startswith("date:"):
            choice = formatdate(self.clock() + float(choice[5:]), usegmt=True)
        return [(b"retry-after", choice.encode())]

    def record(self, answer: Judgement) -> int:
        """Into the tally, and the ledger if accepted; gives the entry's number, or -1."""
        if answer.reason:
            self.tally.rejected[answer.reason] += 1
        if not answer.accepted:
            return -1
        self.tally.accepted += 1
        return self.ledger.record(answer.address, answer.dedup_id, answer.message_id, self.clock())

    def summary(self) -> dict[str, Any]:
        tally, ledger = self.tally, self.ledger
        return {
            "accepted": tally.accepted,
            "answered": ledger.answered,
            "duplicates": ledger.duplicates,
            "rejected": dict(tally.rejected),
            "injected": dict(tally.injected),
            "deleted": tally.deleted,
            "edited": tally.edited,
            "violations": list(self.violations),
            "connections": tally.connections,
            "turned_away": tally.turned_away,
            "handshakes_failed": tally.handshakes_failed,
            "streams_high_water": tally.streams_high_water,
            "seconds": round(self.elapsed, 3),
            **self.more(),
        }


GRACEFUL = (NO_ERROR, b"")
