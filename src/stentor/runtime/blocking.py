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
from typing import Concatenate, Generic, ParamSpec, Self, TypeVar

from stentor.config import Config
from stentor.recording.report import Progress, Report
from stentor.runtime.campaigns import CampaignControl
from stentor.runtime.messages import MessageControl
from stentor.runtime.outcomes import Outcomes
from stentor.runtime.queue_control import Backlog, QueueControl
from stentor.runtime.roles import Roles
from stentor.runtime.stentor import Stentor
from stentor.runtime.supervisor import Closing

P = ParamSpec("P")
T = TypeVar("T")
Part = TypeVar("Part")


class _Twin(Generic[Part]):
    """Of one part of a `Stentor`."""

    def __init__(self, part: Part, runner: asyncio.Runner) -> None:
        self._part = part
        self._runner = runner

    def _do(self, work: Awaitable[T]) -> T:
        return _run(self._runner, work)


def _run(runner: asyncio.Runner, work: Awaitable[T]) -> T:
    async def done() -> T:
        return await work

    return runner.run(done())


def _blocking(method: Callable[Concatenate[Part, P], Awaitable[T]]) -> Callable[Concatenate[_Twin[Part], P], T]:
    @wraps(method)
    def call(self: _Twin[Part], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._do(method(self._part, *args, **kwargs))

    return call


def _iterating(
    method: Callable[Concatenate[Part, P], AsyncIterator[T]],
) -> Callable[Concatenate[_Twin[Part], P], Iterator[T]]:
    @wraps(method)
    def call(self: _Twin[Part], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        found = method(self._part, *args, **kwargs)
        while True:
            try:
                yield self._do(anext(found))
            except StopAsyncIteration:
                return

    return call


class BlockingCampaignControl(_Twin[CampaignControl]):
    """See `CampaignControl`."""

    newest = _blocking(CampaignControl.newest)
    get = _blocking(CampaignControl.get)
    find = _blocking(CampaignControl.find)
    prepare = _blocking(CampaignControl.prepare)
    create = _blocking(CampaignControl.create)
    start = _blocking(CampaignControl.start)
    send = _blocking(CampaignControl.send)
    refuse_a_second = _blocking(CampaignControl.refuse_a_second)
    retry = _blocking(CampaignControl.retry)
    prepare_undo = _blocking(CampaignControl.prepare_undo)
    prepare_edit = _blocking(CampaignControl.prepare_edit)
    undo = _blocking(CampaignControl.undo)
    edit = _blocking(CampaignControl.edit)
    pause = _blocking(CampaignControl.pause)
    resume = _blocking(CampaignControl.resume)
    cancel = _blocking(CampaignControl.cancel)
    prunable = _blocking(CampaignControl.prunable)
    prune = _blocking(CampaignControl.prune)


class BlockingMessageControl(_Twin[MessageControl]):
    """See `MessageControl`."""

    send = _blocking(MessageControl.send)
    get = _blocking(MessageControl.get)
    settled = _blocking(MessageControl.settled)
    newest = _blocking(MessageControl.newest)


class BlockingOutcomes(_Twin[Outcomes]):
    """See `Outcomes`."""

    progress = _blocking(Outcomes.progress)
    report = _blocking(Outcomes.report)
    totals = _blocking(Outcomes.totals)
    audit = _blocking(Outcomes.audit)
    failures = _iterating(Outcomes.failures)
    explain = _blocking(Outcomes.explain)


class BlockingRoles(_Twin[Roles]):
    """See `Roles`. Ctrl-C stops `run` gracefully, and then raises KeyboardInterrupt: the campaign stays as it is, and
    goes on when it is run again."""

    @property
    def closings(self) -> list[Closing]:
        """See `Roles.closings`."""
        return self._part.closings

    def run(self, campaign_id: str, *, on_progress: Callable[[Progress], None] | None = None) -> Report:
        """See `Roles.run`."""
        return self._do(self._part.run(campaign_id, on_progress=on_progress))

    def watch(self, campaign_id: str, *, on_progress: Callable[[Progress], None] | None = None) -> Report:
        """See `Roles.watch`."""
        return self._do(self._part.watch(campaign_id, on_progress=on_progress))


class BlockingQueueControl(_Twin[QueueControl]):
    """See `QueueControl`."""

    draining = _blocking(QueueControl.draining)
    end_drain = _blocking(QueueControl.end_drain)
    backlog = _blocking(QueueControl.backlog)

    def drain(self, *, on_progress: Callable[[Backlog], None] | None = None) -> Backlog:
        """See `QueueControl.drain`."""
        return self._do(self._part.drain(on_progress=on_progress))


class BlockingStentor:
    """The parts of `Stentor`, each of whose operations returns when it is done. For use by one thread.

    Use as a context manager. Each method takes, returns and raises what `Stentor`'s of the same name does.

    Raises:
        RuntimeError: an event loop runs in this thread already.

    Example:
        with BlockingStentor(load()) as stentor:
            campaign = stentor.campaigns.send(Content(message=Message(title="News")), Selection(source="users"))
            report = stentor.roles.run(campaign.id)
            print(report.total.accepted)
    """

    def __init__(self, config: Config, clock: Callable[[], float] = time.time) -> None:
        self._stentor = Stentor(config, clock)
        self._runner = asyncio.Runner()
        self.campaigns = BlockingCampaignControl(self._stentor.campaigns, self._runner)
        self.messages = BlockingMessageControl(self._stentor.messages, self._runner)
        self.outcomes = BlockingOutcomes(self._stentor.outcomes, self._runner)
        self.roles = BlockingRoles(self._stentor.roles, self._runner)
        self.queue = BlockingQueueControl(self._stentor.queue, self._runner)

    def __repr__(self) -> str:
        return f"<BlockingStentor of {self._stentor!r}>"

    def __enter__(self) -> Self:
        _refuse_within_a_loop()
        try:
            _run(self._runner, self._stentor.__aenter__())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            _run(self._runner, self._stentor.__aexit__(kind, error, traceback))
        finally:
            self._runner.close()


def _refuse_within_a_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("an event loop runs in this thread already: use Stentor there, not BlockingStentor")
