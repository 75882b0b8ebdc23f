"""A Stentor without database or senders, for tests of the commands: it remembers what it was asked to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest import mock

import typer
from typer.testing import CliRunner

from stentor import config
from stentor.cli import campaign as campaign_commands
from stentor.cli import operations
from stentor.cli.drain import drain
from stentor.cli.main import Commands
from stentor.cli.processes import roles
from stentor.cli.send import send
from stentor.config import Config
from stentor.errors import AlreadySent, InvalidState, Unconfirmed, UnknownCampaign
from stentor.outcome import Outcome
from stentor.planning.content import Content
from stentor.planning.contract import Timing
from stentor.recording.audit import Audit, Check
from stentor.recording.explain import Event, Explanation, Place
from stentor.recording.pruning import Prunable
from stentor.recording.report import FailureRow, LaneCounts, Progress, ReasonCount, Report, Totals
from stentor.runtime.campaigns import ANYTHING
from stentor.runtime.confirmation import Expectation
from stentor.runtime.draft import Draft
from stentor.runtime.preview import LanePreview, Preview
from stentor.runtime.queue_control import Backlog
from stentor.runtime.samples import Example
from stentor.states import FINAL, CampaignState
from stentor.store.campaigns import Campaign
from tests.unit.cli.moments import ANDROID, IOS, NOW, campaign, failure, progress, report

PREVIEW = Preview(
    title="Hello",
    lanes={
        IOS: LanePreview(
            recipients=400_000,
            ceiling=float("inf"),
            seconds=8.0,
            examples=[Example(installation="", language="", payload=b'{"aps": {"alert": "Hello"}}')],
        ),
        ANDROID: LanePreview(recipients=600_000, ceiling=10_000.0, seconds=3660.0),
    },
    unroutable=0,
    seconds=3660.0,
    warnings=[],
    confirmation="0123456789abcdef0123456789abcdef-1000000",
)


class FakeStentor:
    """One campaign unless told otherwise; running it completes it."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        """What was asked, in order."""
        self.known = [campaign()]
        """The newest first."""
        self.preview = PREVIEW
        self.ends: dict[str, Any] = {"state": CampaignState.COMPLETED, "finished_at": NOW - 10}
        """What a run leads to."""
        self.exact = True
        self.pending = 5000
        """Recipients on each lane that have no outcome yet."""
        self.running: Callable[[FakeStentor], None] = lambda _: None
        """Called in the middle of a run, e.g. to interrupt it."""
        self.cancelled = CampaignState.CANCELLED
        """What a cancel leads to at once: CANCELLING while some process holds a part of it."""
        self.backlogs = [Backlog(campaigns={}, recipients=0, batches=0, unrecorded=0)]
        """What is left at each look of a drain; the last one stays."""
        self.max_rates: list[float | None] = []
        """Of what was prepared and sent."""
        self.timings: list[Timing] = []
        """Likewise, of what was prepared."""
        self.samples: list[str | None] = []
        """Of whom examples were wanted."""
        self.confirms = "as it is"
        """What confirms a draft as it is now."""
        self.expected = ANYTHING
        """What must have held for the latest start."""
        self.counting: Callable[[], None] | None = None
        """Called while an audience is counted that has no end."""
        self.sent: set[str] = set()
        """Keys under which something was sent before."""
        self.lost_races: set[str] = set()
        """Keys that another claims while this one is being counted."""
        self.unread: str | None = None
        """The id of a campaign of which nothing was read yet."""
        self.lanes: dict[str, LaneCounts] | None = None
        """What a report counts, if it isn't a million."""
        self.reasons: dict[str, list[ReasonCount]] | None = None
        self.sick, self.still = True, False
        """What a glance sees: a lane with a problem, and that nothing moves."""
        self.waits_for_stop = False
        self.ignores_stop = False

    async def __aenter__(self) -> Self:
        return self

    def hindrance(self, after: float) -> str | None:
        return None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.done.append(("close",))

    @property
    def campaigns(self) -> Self:
        """All parts in one: no two have an operation of the same name."""
        return self

    outcomes = roles = queue = campaigns

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        yield

    async def prepare(self, draft: Draft, *, sample: str | None = None) -> Preview:
        self.samples.append(sample)
        self.timings.append(draft.timing)
        self.max_rates.append(draft.max_rate)
        self.done.append(("prepare", draft.content, draft.selection, draft.title, draft.starts_at))
        await self._count()
        return self.preview

    async def _count(self) -> None:
        if self.counting is not None:
            self.counting()
            await asyncio.Event().wait()

    async def send(self, draft: Draft, *, preview: Preview | None = None, once: str | None = None) -> Campaign:
        if once is not None and once in self.lost_races:
            raise AlreadySent(once, "other", NOW)
        self.max_rates.append(draft.max_rate)
        self.done.append(("send", draft.content, draft.selection, draft.title, draft.starts_at))
        return self.known[0]

    async def refuse_a_second(self, once: str) -> None:
        if once in self.sent:
            raise AlreadySent(once, "other", NOW)

    async def confirmation(self, campaign_id: str) -> str:
        return self.confirms

    async def start(
        self, campaign_id: str, *, once: str | None = None, expect: Expectation = ANYTHING, hold: float = 0.0
    ) -> Campaign:
        if expect.confirmation not in (None, self.confirms):
            raise Unconfirmed("The message is not the one that was previewed; nothing was started.")
        self.expected = expect
        return self._move("start", campaign_id, CampaignState.SCHEDULED if hold else CampaignState.RUNNING)

    async def unschedule(self, campaign_id: str) -> Campaign:
        return self._move("unschedule", campaign_id, CampaignState.DRAFT)

    async def pause(self, campaign_id: str) -> Campaign:
        if (await self.get(campaign_id)).state in FINAL:
            raise InvalidState(f"campaign {campaign_id} has ended, so it can't be paused")
        return self._move("pause", campaign_id, CampaignState.PAUSED)

    async def resume(self, campaign_id: str) -> Campaign:
        return self._move("resume", campaign_id, CampaignState.RUNNING)

    async def cancel(self, campaign_id: str) -> Campaign:
        state = (await self.get(campaign_id)).state
        return self._move("cancel", campaign_id, state if state in FINAL else self.cancelled)

    async def retry(self, campaign_id: str, *, reasons: Sequence[str] = ()) -> Campaign:
        self.done.append(("retry", campaign_id, tuple(reasons)))
        await self._count()
        self.known.insert(0, campaign("new", state=CampaignState.DRAFT))
        return self.known[0]

    async def prepare_undo(self, campaign_id: str, better: Content | None = None) -> Preview:
        self.done.append(("prepare_undo", campaign_id, better))
        await self._count()
        return self.preview

    async def prepare_edit(self, campaign_id: str, better: Content) -> Preview:
        self.done.append(("prepare_edit", campaign_id, better))
        await self._count()
        return self.preview

    async def undo(self, campaign_id: str, better: Content | None = None) -> Campaign:
        return self._instead("undo", campaign_id, better)

    async def edit(self, campaign_id: str, better: Content) -> Campaign:
        return self._instead("edit", campaign_id, better)

    def _instead(self, verb: str, campaign_id: str, better: Content | None) -> Campaign:
        self.done.append((verb, campaign_id, better))
        self.known.insert(0, campaign("new", state=CampaignState.DRAFT))
        return self.known[0]

    async def run(
        self,
        campaign_id: str,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        stop: asyncio.Event | None = None,
    ) -> Report:
        self.done.append(("run", campaign_id))
        assert on_progress is not None
        assert stop is not None
        on_progress(progress(1000, 0))
        self.running(self)
        if self.waits_for_stop:
            await (asyncio.Event().wait() if self.ignores_stop else stop.wait())
        else:
            self._change(campaign_id, **self.ends)
        on_progress(progress(2000, 1))
        return await self.report(campaign_id)

    async def stop(self) -> None:
        self.done.append(("stop",))

    async def watch(
        self,
        campaign_id: str,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        stop: asyncio.Event | None = None,
    ) -> Report:
        report = await self.run(campaign_id, on_progress=on_progress, stop=stop)
        self.done[-1] = ("watch", campaign_id)
        return report

    async def glance(self, campaign_id: str) -> Progress:
        self.done.append(("glance", campaign_id))
        return replace(progress(1000, 0, problem=self.sick), campaign=await self.get(campaign_id), still=self.still)

    async def drain(
        self, *, on_progress: Callable[[Backlog], None] | None = None, stop: asyncio.Event | None = None
    ) -> Backlog:
        self.done.append(("drain",))
        assert on_progress is not None
        assert stop is not None
        while True:
            left = self.backlogs[0]
            on_progress(left)
            if left.empty or stop.is_set():
                return left
            if len(self.backlogs) > 1:
                self.backlogs.pop(0)
            else:
                self.running(self)
                await stop.wait()

    async def end_drain(self) -> None:
        self.done.append(("end_drain",))

    async def newest(self, *, state: CampaignState | None = None, limit: int = 50) -> list[Campaign]:
        return [each for each in self.known if state in (None, each.state)][:limit]

    async def prunable(self, older_than: float) -> Prunable:
        self.done.append(("prunable", older_than))
        return Prunable(campaigns=["a", "b"], recipients=30, failures=4, oldest=NOW - 86_400)

    async def prune(self, older_than: float) -> Prunable:
        self.done.append(("prune", older_than))
        return Prunable(campaigns=["a", "b"], recipients=30, failures=4, oldest=NOW - 86_400)

    async def get(self, campaign_id: str) -> Campaign:
        for each in self.known:
            if each.id == campaign_id:
                return each
        raise UnknownCampaign(f"there is no campaign {campaign_id!r}")

    async def find(self, name: str) -> Campaign:
        """As far as a test needs it: by the beginning of its id."""
        for each in self.known:
            if each.id.startswith(name):
                return each
        raise UnknownCampaign(f"there is no campaign of the id or title {name!r}")

    async def totals(self, campaign_ids: Collection[str]) -> dict[str, Totals]:
        return {each: Totals(accepted=999_000, failed=1000) for each in campaign_ids if each != self.unread}

    async def progress(self, campaign_id: str) -> Progress:
        self.done.append(("progress", campaign_id))
        shown = progress(1000, 0, problem=True)
        lanes = {name: replace(lane, queued=self.pending, in_flight=0) for name, lane in shown.lanes.items()}
        now = replace(shown, lanes=lanes, campaign=await self.get(campaign_id))
        if sum(asked == ("progress", campaign_id) for asked in self.done) >= 2:
            self._change(campaign_id, **self.ends)
        return now

    async def report(self, campaign_id: str) -> Report:
        found = await self.get(campaign_id)
        sick = {} if found.state in FINAL else progress(1000, 0, problem=True).problems
        told = replace(report(), campaign=found, problems=sick)
        lanes = told.lanes if self.lanes is None else self.lanes
        return replace(told, lanes=lanes, reasons=told.reasons if self.reasons is None else self.reasons)

    async def audit(self, campaign_id: str) -> Audit:
        checks = (
            Check(name="columns", ok=True, detail="3 recipients"),
            Check(name="once", ok=self.exact, detail="once"),
        )
        return Audit(campaign_id=campaign_id, state=CampaignState.COMPLETED, checks=checks, at=NOW)

    async def failures(
        self,
        campaign_id: str,
        *,
        lane: str | None = None,
        reason: str | None = None,
        outcome: Outcome | None = None,
        dead: bool | None = None,
        addresses: bool = False,
    ) -> AsyncIterator[FailureRow]:
        self.done.append(("failures", campaign_id, lane, reason, dead))
        for position in range(3 if reason in (None, "Unregistered") and lane in (None, IOS) else 0):
            address = f"=token-{position}" if addresses and position else None
            yield replace(failure(position), address=address)

    async def explain(self, campaign_id: str, installation: str) -> Explanation:
        return Explanation(
            campaign=await self.get(campaign_id),
            installation=installation,
            events=(Event(at=NOW, text="It was read."), Event(at=None, text="It ended.")),
            place=Place(batch_id="b", lane=IOS, chain="0", step="1", number="2", position=0, size=9),
            outcome=Outcome.REJECTED,
            failure=failure(0),
        )

    def _move(self, verb: str, campaign_id: str, state: CampaignState) -> Campaign:
        self.done.append((verb, campaign_id))
        return self._change(campaign_id, state=state)

    def _change(self, campaign_id: str, **values: Any) -> Campaign:
        self.known = [replace(each, **values) if each.id == campaign_id else each for each in self.known]
        return next(each for each in self.known if each.id == campaign_id)

    def verbs(self) -> list[str]:
        return [asked[0] for asked in self.done]


class Command:
    """The `stentor` command on a fake Stentor."""

    def __init__(self, fake: FakeStentor) -> None:
        self.fake = fake
        self.files: list[Path | None] = []
        """The settings that were asked for."""
        self._app = typer.Typer(cls=Commands)
        self._app.add_typer(campaign_commands.app, name="campaign")
        self._app.command()(send)
        self._app.command()(drain)
        self._app.command()(roles)

    def __call__(self, *arguments: str, answer: str | None = None) -> Any:  # Any: click's result
        """Run it. With an `answer` there is a terminal, and somebody who types this."""
        with self._patched(asked=answer is not None):
            runner = CliRunner(env={"COLUMNS": "80", "TERM": "dumb", "STENTOR_DEBUG": None})
            return runner.invoke(self._app, list(arguments), input=answer)

    @contextmanager
    def _patched(self, *, asked: bool) -> Iterator[None]:
        def load(file: Path | None) -> Config:
            self.files.append(file)
            return Config()

        with (
            mock.patch.object(operations, "Stentor", return_value=self.fake),
            mock.patch.object(config, "load", load),
            mock.patch.object(operations, "interactive", return_value=asked),
        ):
            yield
