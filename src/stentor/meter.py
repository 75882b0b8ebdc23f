"""Where a process's CPU time goes, by stage, in its own account: cheap enough to be always on.

Rules: it accounts for the thread it was made in, the event loop's, in which all our own work is done; every moment of
that thread is on exactly one stage's account, so the stages add up. What runs inside another stage's work is taken out
of it. Switching costs well under a microsecond, and happens some dozens of times a batch.
"""

from __future__ import annotations

import time
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Meter:
    """CPU seconds by stage.

    Args:
        rest: the stage of whatever is on no other's account.
        clock: CPU seconds of the thread.
    """

    def __init__(self, rest: str = "rest", clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._stage = rest
        self._since = clock()
        self._seconds: dict[str, float] = {rest: 0.0}

    def __repr__(self) -> str:
        return f"<Meter {', '.join(f'{stage} {seconds:.2f} s' for stage, seconds in self._seconds.items())}>"

    @property
    def seconds(self) -> dict[str, float]:
        """By stage, until now."""
        self._switch(self._stage)
        return dict(self._seconds)

    @contextmanager
    def stage(self, stage: str) -> Iterator[None]:
        """What runs inside is on this stage's account. It must not await: see `during`."""
        outer = self._switch(stage)
        try:
            yield
        finally:
            self._switch(outer)

    async def during(self, stage: str, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` on this stage's account, but for the time in which it waits and others run."""
        return await self._steps(stage, work)

    @types.coroutine
    def _steps(self, stage: str, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        step: Callable[[], Any] = lambda: work.send(None)  # noqa: E731 - it is replaced below
        while True:
            outer = self._switch(stage)
            try:
                awaited = step()
            except StopIteration as end:
                found: T = end.value
                return found
            finally:
                self._switch(outer)
            try:
                answer = yield awaited
                step = _bind(work.send, answer)
            except BaseException as error:  # noqa: BLE001 - a cancellation, say: it is for the work to handle
                step = _bind(work.throw, error)

    def _switch(self, stage: str) -> str:
        """Begin another stage's account; the one that was under way."""
        now = self._clock()
        outer = self._stage
        self._seconds[outer] = self._seconds.get(outer, 0.0) + now - self._since
        self._since, self._stage = now, stage
        return outer


def _bind(call: Callable[[Any], Any], argument: Any) -> Callable[[], Any]:
    return lambda: call(argument)
