"""`BlockingStentor`: `Stentor` for programs without an event loop.

Rules: every operation is `Stentor`'s own, run to its end on a loop that belongs to the twin and stands still between
calls; nothing is done otherwise here. Where a loop runs already, it is `Stentor` that is wanted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

from stentor.access.csrf import Csrf
from stentor.access.keys import Keys
from stentor.access.log import ActionLog
from stentor.access.oidc import OidcSignIn
from stentor.access.sessions import Sessions
from stentor.access.users import Users
from stentor.config import Config
from stentor.recording.report import Progress, Report
from stentor.runtime.access_control import AccessControl
from stentor.runtime.campaigns import CampaignControl
from stentor.runtime.care import CareControl
from stentor.runtime.changes import CampaignEvent
from stentor.runtime.installations import Installations, Rejected, Upserted
from stentor.runtime.lanes import AppFacts, LaneControl
from stentor.runtime.messages import MessageControl
from stentor.runtime.outcomes import Outcomes
from stentor.runtime.queue_control import Backlog, QueueControl
from stentor.runtime.reports import Reports, TargetInfo
from stentor.runtime.roles import Roles
from stentor.runtime.segments import Segments
from stentor.runtime.series import SHOWN, NextTimes, SeriesControl
from stentor.runtime.stentor import Stentor
from stentor.runtime.supervisor import Closing
from stentor.runtime.templates import TemplateControl
from stentor.twin import Twin as _Twin
from stentor.twin import blocking as _blocking
from stentor.twin import iterated as _iterated
from stentor.twin import iterating as _iterating
from stentor.twin import refuse_within_a_loop
from stentor.twin import run as _run


class BlockingCampaignControl(_Twin[CampaignControl]):
    """See `CampaignControl`."""

    newest = _blocking(CampaignControl.newest)
    get = _blocking(CampaignControl.get)
    find = _blocking(CampaignControl.find)
    content = _blocking(CampaignControl.content)
    prepare = _blocking(CampaignControl.prepare)
    compose = _blocking(CampaignControl.compose)
    create = _blocking(CampaignControl.create)
    change = _blocking(CampaignControl.change)
    values_of = _blocking(CampaignControl.values_of)
    draft = _blocking(CampaignControl.draft)
    check = _blocking(CampaignControl.check)
    discard = _blocking(CampaignControl.discard)
    test = _blocking(CampaignControl.test)
    start = _blocking(CampaignControl.start)
    unschedule = _blocking(CampaignControl.unschedule)
    send = _blocking(CampaignControl.send)
    refuse_a_second = _blocking(CampaignControl.refuse_a_second)
    retry = _blocking(CampaignControl.retry)
    confirmation = _blocking(CampaignControl.confirmation)
    prepare_undo = _blocking(CampaignControl.prepare_undo)
    prepare_edit = _blocking(CampaignControl.prepare_edit)
    undo = _blocking(CampaignControl.undo)
    edit = _blocking(CampaignControl.edit)
    pause = _blocking(CampaignControl.pause)
    resume = _blocking(CampaignControl.resume)
    release = _blocking(CampaignControl.release)
    cancel = _blocking(CampaignControl.cancel)
    prunable = _blocking(CampaignControl.prunable)
    prune = _blocking(CampaignControl.prune)


class BlockingMessageControl(_Twin[MessageControl]):
    """See `MessageControl`."""

    send = _blocking(MessageControl.send)
    get = _blocking(MessageControl.get)
    exists = _blocking(MessageControl.exists)
    settled = _blocking(MessageControl.settled)
    newest = _blocking(MessageControl.newest)


class BlockingOutcomes(_Twin[Outcomes]):
    """See `Outcomes`."""

    progress = _blocking(Outcomes.progress)
    report = _blocking(Outcomes.report)
    totals = _blocking(Outcomes.totals)
    list_totals = _blocking(Outcomes.list_totals)
    put_aside = _blocking(Outcomes.put_aside)
    audit = _blocking(Outcomes.audit)
    failures = _iterating(Outcomes.failures)
    failure_counts = _blocking(Outcomes.failure_counts)
    has_batch = _blocking(Outcomes.has_batch)
    recipients = _iterating(Outcomes.recipients)
    explain = _blocking(Outcomes.explain)


class BlockingRoles(_Twin[Roles]):
    """See `Roles`. Ctrl-C stops `run` gracefully, and then raises KeyboardInterrupt: the campaign stays as it is, and
    goes on when it is run again."""

    see_out = _blocking(Roles.see_out)
    glance = _blocking(Roles.glance)

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

    begin_drain = _blocking(QueueControl.begin_drain)
    draining = _blocking(QueueControl.draining)
    end_drain = _blocking(QueueControl.end_drain)
    backlog = _blocking(QueueControl.backlog)

    def drain(self, *, on_progress: Callable[[Backlog], None] | None = None) -> Backlog:
        """See `QueueControl.drain`."""
        return self._do(self._part.drain(on_progress=on_progress))


class BlockingLaneControl(_Twin[LaneControl]):
    """See `LaneControl`."""

    all = _blocking(LaneControl.all)
    roles = _blocking(LaneControl.roles)
    processes = _blocking(LaneControl.processes)
    answer_times = _blocking(LaneControl.answer_times)

    def apps(self) -> list[AppFacts]:
        """See `LaneControl.apps`."""
        return self._part.apps()


class BlockingReports(_Twin[Reports]):
    """See `Reports`."""

    test = _blocking(Reports.test)
    deliveries = _blocking(Reports.deliveries)
    replay = _blocking(Reports.replay)

    def targets(self) -> list[TargetInfo]:
        """See `Reports.targets`."""
        return self._part.targets()


class BlockingKeys(_Twin[Keys]):
    """See `Keys`."""

    authenticate = _blocking(Keys.authenticate)
    create = _blocking(Keys.create)
    page = _blocking(Keys.page)
    find = _blocking(Keys.find)
    roll = _blocking(Keys.roll)
    revoke = _blocking(Keys.revoke)


class BlockingUsers(_Twin[Users]):
    """See `Users`."""

    add = _blocking(Users.add)
    page = _blocking(Users.page)
    get = _blocking(Users.get)
    find = _blocking(Users.find)
    set_role = _blocking(Users.set_role)
    set_password = _blocking(Users.set_password)
    change_password = _blocking(Users.change_password)
    disable = _blocking(Users.disable)
    enable = _blocking(Users.enable)
    any = _blocking(Users.any)
    first_link = _blocking(Users.first_link)
    link = _blocking(Users.link)
    look_at_link = _blocking(Users.look_at_link)
    use_link = _blocking(Users.use_link)
    from_provider = _blocking(Users.from_provider)


class BlockingSessions(_Twin[Sessions]):
    """See `Sessions`."""

    sign_in = _blocking(Sessions.sign_in)
    begin = _blocking(Sessions.begin)
    find = _blocking(Sessions.find)
    of_user = _blocking(Sessions.of_user)
    end = _blocking(Sessions.end)
    end_all = _blocking(Sessions.end_all)


class BlockingCsrf(_Twin[Csrf]):
    """See `Csrf`."""

    token = _blocking(Csrf.token)
    holds = _blocking(Csrf.holds)


class BlockingOidcSignIn(_Twin[OidcSignIn]):
    """See `OidcSignIn`."""

    begin = _blocking(OidcSignIn.begin)
    finish = _blocking(OidcSignIn.finish)


class BlockingActionLog(_Twin[ActionLog]):
    """See `ActionLog`."""

    record = _blocking(ActionLog.record)
    add = _blocking(ActionLog.add)
    page = _blocking(ActionLog.page)


class BlockingAccessControl:
    """See `AccessControl`."""

    def __init__(self, access: AccessControl, runner: asyncio.Runner) -> None:
        self.keys = BlockingKeys(access.keys, runner)
        self.users = BlockingUsers(access.users, runner)
        self.sessions = BlockingSessions(access.sessions, runner)
        self.csrf = BlockingCsrf(access.csrf, runner)
        self.oidc = BlockingOidcSignIn(access.oidc, runner)
        self.log = BlockingActionLog(access.log, runner)


class BlockingInstallations(_Twin[Installations]):
    """See `Installations`."""

    get = _blocking(Installations.get)
    page = _blocking(Installations.page)
    put = _blocking(Installations.put)
    delete = _blocking(Installations.delete)
    erase = _blocking(Installations.erase)

    def upsert_many(
        self,
        body: Iterable[bytes],
        *,
        channel: str | None = None,
        app: str | None = None,
        on_rejected: Callable[[Sequence[Rejected]], None] | None = None,
        on_progress: Callable[[Upserted], None] | None = None,
    ) -> Upserted:
        """See `Installations.upsert_many`."""

        async def pieces() -> AsyncIterator[bytes]:
            for piece in body:
                yield piece

        async def tell(some: Sequence[Rejected]) -> None:
            if on_rejected is not None:
                on_rejected(some)

        return self._do(
            self._part.upsert_many(pieces(), channel=channel, app=app, on_rejected=tell, on_progress=on_progress)
        )


class BlockingCareControl(_Twin[CareControl]):
    """See `CareControl`."""

    opt_out = _blocking(CareControl.opt_out)
    opt_in = _blocking(CareControl.opt_in)
    set_opt_outs = _blocking(CareControl.set_opt_outs)
    opt_outs_of = _blocking(CareControl.opt_outs_of)
    opt_outs = _blocking(CareControl.opt_outs)
    exclude = _blocking(CareControl.exclude)
    readmit = _blocking(CareControl.readmit)
    exclusion_lists = _blocking(CareControl.exclusion_lists)
    exclusion_list = _blocking(CareControl.exclusion_list)
    excluded = _blocking(CareControl.excluded)
    delete_exclusion_list = _blocking(CareControl.delete_exclusion_list)
    settled = _blocking(CareControl.settled)


class BlockingSegments(_Twin[Segments]):
    """See `Segments`."""

    save = _blocking(Segments.save)
    get = _blocking(Segments.get)
    list = _blocking(Segments.list)
    delete = _blocking(Segments.delete)
    settled = _blocking(Segments.settled)
    count = _blocking(Segments.count)


class BlockingSeriesControl(_Twin[SeriesControl]):
    """See `SeriesControl`."""

    add = _blocking(SeriesControl.add)
    change = _blocking(SeriesControl.change)
    pause = _blocking(SeriesControl.pause)
    resume = _blocking(SeriesControl.resume)
    delete = _blocking(SeriesControl.delete)
    get = _blocking(SeriesControl.get)
    find = _blocking(SeriesControl.find)
    list = _blocking(SeriesControl.list)
    draft = _blocking(SeriesControl.draft)
    runs = _blocking(SeriesControl.runs)
    newest_runs = _blocking(SeriesControl.newest_runs)

    def next_times(self, cron: str, zone: str, count: int = SHOWN) -> NextTimes:
        """See `SeriesControl.next_times`."""
        return self._part.next_times(cron, zone, count)


class BlockingTemplateControl(_Twin[TemplateControl]):
    """See `TemplateControl`."""

    save = _blocking(TemplateControl.save)
    get = _blocking(TemplateControl.get)
    list = _blocking(TemplateControl.list)
    versions = _blocking(TemplateControl.versions)
    compare = _blocking(TemplateControl.compare)
    restore = _blocking(TemplateControl.restore)
    delete = _blocking(TemplateControl.delete)
    filled = _blocking(TemplateControl.filled)


class BlockingStentor:
    """The parts of `Stentor`, each of whose operations returns when it is done. For use by one thread.

    Use as a context manager. Each method takes, returns and raises what `Stentor`'s of the same name does.

    Raises:
        RuntimeError: an event loop runs in this thread already.

    Example:
        with BlockingStentor(load()) as stentor:
            draft = Draft(Content(message=Message(title="News")), Selection(source="users"))
            campaign = stentor.campaigns.send(draft)
            report = stentor.roles.run(campaign.id)
            print(report.total.accepted)
    """

    def __init__(self, config: Config, clock: Callable[[], float] = time.time) -> None:
        self._stentor = Stentor(config, clock)
        self._runner = asyncio.Runner()
        self.campaigns = BlockingCampaignControl(self._stentor.campaigns, self._runner)
        self.care = BlockingCareControl(self._stentor.care, self._runner)
        self.series = BlockingSeriesControl(self._stentor.series, self._runner)
        self.segments = BlockingSegments(self._stentor.segments, self._runner)
        self.templates = BlockingTemplateControl(self._stentor.templates, self._runner)
        self.messages = BlockingMessageControl(self._stentor.messages, self._runner)
        self.outcomes = BlockingOutcomes(self._stentor.outcomes, self._runner)
        self.roles = BlockingRoles(self._stentor.roles, self._runner)
        self.queue = BlockingQueueControl(self._stentor.queue, self._runner)
        self.lanes = BlockingLaneControl(self._stentor.lanes, self._runner)
        self.reports = BlockingReports(self._stentor.reports, self._runner)
        self.access = BlockingAccessControl(self._stentor.access, self._runner)
        self.installations = BlockingInstallations(self._stentor.installations, self._runner)

    def __repr__(self) -> str:
        return f"<BlockingStentor of {self._stentor!r}>"

    def events(self, campaign_id: str | None = None) -> Iterator[CampaignEvent]:
        """See `Stentor.events`. Looking stands still between two events."""
        return _iterated(self._runner, self._stentor.events(campaign_id))

    def __enter__(self) -> Self:
        refuse_within_a_loop("Stentor", "BlockingStentor")
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
