"""Whether a role's process is alive, and whether it can do its work now; `probes.py` answers whoever asks.

A process is alive while each of its loops goes round; one that stopped going round is best started again. It is ready
while it reaches the store, finds the tables it needs there, and can record what it does. Rules: what another process or
a person must mend never makes a process count as dead; a lane that its provider keeps closed is told of, and makes
nobody unready; to ask costs next to nothing, however many ask.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec

from stentor.errors import StentorError
from stentor.pipeline import Stage
from stentor.runtime.plain_http import PlainPage

SILENCE = 90.0
"""Seconds without a sign after which a loop counts as stuck. One that waits for the store may be silent for the
database's `patience`, more than once."""
FRESH = 5.0
"""Seconds for which the last look at the store counts."""
ANSWER_WITHIN = 2.0
"""Seconds that a page waits for the store or the queue at most."""

T = TypeVar("T")


class StoreContact(Protocol):
    """What tells when the store was last reached."""

    @property
    def looked_at(self) -> float | None:
        """When the campaigns' states were last learned, by the monotonic clock; None: never yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What a probe is told."""

    role: str
    ok: bool
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()
    """What people may want to know, though it is no fault of the process'."""
    loops: Mapping[str, float | None] | None = None
    """Seconds since each gave its last sign; None: it rests, having nothing to do."""

    @property
    def response(self) -> PlainPage:
        told = {name: value for name in self.__slots__ if (value := getattr(self, name)) or name == "ok"}
        return PlainPage(200 if self.ok else 503, msgspec.json.encode(told) + b"\n")


class Lookup(Generic[T]):
    """Asks for something at most every so many seconds, however many want it, and never twice at a time."""

    def __init__(
        self, ask: Callable[[], Awaitable[T]], lasts: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._lasts = lasts
        self._clock = clock
        self._asking: asyncio.Task[T] | None = None
        self._until = 0.0

    async def get(self) -> T:
        """What was found.

        Raises: TimeoutError: not within `ANSWER_WITHIN` seconds; it is still being asked for. And what `ask` raised.
        """
        if self._asking is None or (self._asking.done() and self._clock() >= self._until):
            self._until = self._clock() + self._lasts
            self._asking = asyncio.ensure_future(self._ask())
        done, _ = await asyncio.wait([self._asking], timeout=ANSWER_WITHIN)
        if not done:
            raise TimeoutError
        return self._asking.result()

    async def aclose(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)


class Health:
    """What can be said of one role's process."""

    def __init__(
        self,
        role: str,
        stages: Sequence[Stage],
        desk: StoreContact,
        stop: asyncio.Event,
        schema: Lookup[None],
        doubts: Sequence[Callable[[], str | None]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        stages: those at work; may grow while they start.
        schema: raises StentorError where the store's tables aren't as they must be.
        doubts: each says why the role cannot do its work just now, or None: that the queue cannot be reached, say.
        """
        self._role = role
        self._stages = stages
        self._desk = desk
        self._stop = stop
        self._schema = schema
        self._doubts = doubts
        self._clock = clock

    def alive(self) -> ProbeResult:
        """Whether every loop goes round. While the process stops they end, one by one, within a bounded time."""
        now = self._clock()
        loops = {stage.name: None if stage.beat is None else round(now - stage.beat, 3) for stage in self._stages}
        stuck = [
            f"{name} gave no sign for {silence:.0f} s"
            for name, silence in loops.items()
            if silence is not None and silence > SILENCE
        ]
        if self._stop.is_set():
            return ProbeResult(role=self._role, ok=True, notes=["stopping"], loops=loops)
        return ProbeResult(role=self._role, ok=not stuck, problems=stuck, loops=loops)

    async def ready(self) -> ProbeResult:
        """Whether the role can do its work now."""
        problems = ["stopping"] if self._stop.is_set() else await self._problems()
        notes = [f"{stage.name}: {stage.notice}" for stage in self._stages if stage.notice]
        return ProbeResult(role=self._role, ok=not problems, problems=problems, notes=notes)

    async def _problems(self) -> list[str]:
        problems = [problem for doubt in self._doubts if (problem := doubt())]
        problems += [f"{stage.name}: {stage.problem}" for stage in self._stages if stage.problem]
        looked_at = self._desk.looked_at
        if looked_at is None:
            return [*problems, "the store was not reached yet"]
        if (age := self._clock() - looked_at) > FRESH:
            return [*problems, f"the store was last reached {age:.0f} s ago"]
        try:
            await self._schema.get()
        except StentorError as error:
            problems.append(str(error))
        except TimeoutError:
            problems.append("the store takes long to answer")
        return problems
