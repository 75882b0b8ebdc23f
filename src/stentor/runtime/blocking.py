"""`BlockingStentor`: `Stentor` for programs without an event loop.

Rules: every operation is `Stentor`'s own, run to its end on a loop that belongs to the twin and stands still between
calls; nothing is done otherwise here. Where a loop runs already, it is `Stentor` that is wanted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from stentor.config import Config
from stentor.recording.report import Progress, Report
from stentor.runtime.stentor import Backlog, Stentor
from stentor.runtime.supervisor import Closing

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[Stentor, P], Awaitable[T]],
) -> Callable[Concatenate[BlockingStentor, P], T]:
    @wraps(method)
    def call(self: BlockingStentor, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._do(method(self._stentor, *args, **kwargs))

    return call


def _iterating(
    method: Callable[Concatenate[Stentor, P], AsyncIterator[T]],
) -> Callable[Concatenate[BlockingStentor, P], Iterator[T]]:
    @wraps(method)
    def call(self: BlockingStentor, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        found = method(self._stentor, *args, **kwargs)
        while True:
            try:
                yield self._do(anext(found))
            except StopAsyncIteration:
                return

    return call


def _refuse_within_a_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("an event loop runs in this thread already: use Stentor there, not BlockingStentor")


class BlockingStentor:
    """The operations of `Stentor`, each of which returns when it is done. For use by one thread.

    Use as a context manager. Each method takes, returns and raises what `Stentor`'s of the same name does. Ctrl-C stops
    `run` gracefully, and then raises KeyboardInterrupt: the campaign stays as it is, and goes on when it is run again.

    Raises:
        RuntimeError: an event loop runs in this thread already.

    Example:
        with BlockingStentor(load()) as stentor:
            campaign = stentor.send(Content(message=Message(title="News")), Selection(source="users"))
            report = stentor.run(campaign.id)
            print(report.total.accepted)
    """

    def __init__(self, config: Config, clock: Callable[[], float] = time.time) -> None:
        self._stentor = Stentor(config, clock)
        self._runner = asyncio.Runner()

    def __repr__(self) -> str:
        return f"<BlockingStentor of {self._stentor!r}>"

    def __enter__(self) -> Self:
        _refuse_within_a_loop()
        try:
            self._do(self._stentor.__aenter__())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._do(self._stentor.__aexit__(kind, error, traceback))
        finally:
            self._runner.close()

    @property
    def closings(self) -> list[Closing]:
        """See `Stentor.closings`."""
        return self._stentor.closings

    prepare = _blocking(Stentor.prepare)
    create = _blocking(Stentor.create)
    start = _blocking(Stentor.start)
    send = _blocking(Stentor.send)
    retry = _blocking(Stentor.retry)
    prepare_undo = _blocking(Stentor.prepare_undo)
    undo = _blocking(Stentor.undo)
    prepare_edit = _blocking(Stentor.prepare_edit)
    edit = _blocking(Stentor.edit)
    pause = _blocking(Stentor.pause)
    resume = _blocking(Stentor.resume)
    cancel = _blocking(Stentor.cancel)
    campaigns = _blocking(Stentor.campaigns)
    campaign = _blocking(Stentor.campaign)
    progress = _blocking(Stentor.progress)
    report = _blocking(Stentor.report)
    audit = _blocking(Stentor.audit)
    failures = _iterating(Stentor.failures)
    explain = _blocking(Stentor.explain)
    draining = _blocking(Stentor.draining)
    end_drain = _blocking(Stentor.end_drain)
    backlog = _blocking(Stentor.backlog)

    def run(self, campaign_id: str, *, on_progress: Callable[[Progress], None] | None = None) -> Report:
        """See `Stentor.run`."""
        return self._do(self._stentor.run(campaign_id, on_progress=on_progress))

    def watch(self, campaign_id: str, *, on_progress: Callable[[Progress], None] | None = None) -> Report:
        """See `Stentor.watch`."""
        return self._do(self._stentor.watch(campaign_id, on_progress=on_progress))

    def drain(self, *, on_progress: Callable[[Backlog], None] | None = None) -> Backlog:
        """See `Stentor.drain`."""
        return self._do(self._stentor.drain(on_progress=on_progress))

    def _do(self, work: Awaitable[T]) -> T:
        async def done() -> T:
            return await work

        return self._runner.run(done())
