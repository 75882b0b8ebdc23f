"""The blocking twins of `calls.py`.

Drawn from the API's operations by `docs/render_client.py`; don't edit it here.
"""

from __future__ import annotations

import asyncio

from stentor.client.calls import (
    AccessCalls,
    CampaignsCalls,
    CareCalls,
    InstallationsCalls,
    KeysCalls,
    LanesCalls,
    LogCalls,
    MessagesCalls,
    OutcomesCalls,
    QueueCalls,
    ReportsCalls,
    SegmentsCalls,
    SeriesCalls,
    SessionsCalls,
    TemplatesCalls,
    UsersCalls,
)
from stentor.twin import Twin, blocking, iterating


class BlockingCampaignsCalls(Twin[CampaignsCalls]):
    """See `CampaignsCalls`."""

    prepare = blocking(CampaignsCalls.prepare)
    create = blocking(CampaignsCalls.create)
    page = blocking(CampaignsCalls.page)
    all = iterating(CampaignsCalls.all)
    get = blocking(CampaignsCalls.get)
    content = blocking(CampaignsCalls.content)
    change = blocking(CampaignsCalls.change)
    check = blocking(CampaignsCalls.check)
    discard = blocking(CampaignsCalls.discard)
    start = blocking(CampaignsCalls.start)
    unschedule = blocking(CampaignsCalls.unschedule)
    test = blocking(CampaignsCalls.test)
    pause = blocking(CampaignsCalls.pause)
    resume = blocking(CampaignsCalls.resume)
    release = blocking(CampaignsCalls.release)
    cancel = blocking(CampaignsCalls.cancel)
    retry = blocking(CampaignsCalls.retry)
    prepare_undo = blocking(CampaignsCalls.prepare_undo)
    undo = blocking(CampaignsCalls.undo)
    edit = blocking(CampaignsCalls.edit)


class BlockingOutcomesCalls(Twin[OutcomesCalls]):
    """See `OutcomesCalls`."""

    progress = blocking(OutcomesCalls.progress)
    report = blocking(OutcomesCalls.report)
    audit = blocking(OutcomesCalls.audit)
    explain = blocking(OutcomesCalls.explain)
    failures_page = blocking(OutcomesCalls.failures_page)
    failures = iterating(OutcomesCalls.failures)
    export_failures = iterating(OutcomesCalls.export_failures)
    save_failures = blocking(OutcomesCalls.save_failures)
    export_recipients = iterating(OutcomesCalls.export_recipients)
    save_recipients = blocking(OutcomesCalls.save_recipients)


class BlockingSeriesCalls(Twin[SeriesCalls]):
    """See `SeriesCalls`."""

    next_times = blocking(SeriesCalls.next_times)
    add = blocking(SeriesCalls.add)
    page = blocking(SeriesCalls.page)
    get = blocking(SeriesCalls.get)
    draft = blocking(SeriesCalls.draft)
    content = blocking(SeriesCalls.content)
    change = blocking(SeriesCalls.change)
    pause = blocking(SeriesCalls.pause)
    resume = blocking(SeriesCalls.resume)
    delete = blocking(SeriesCalls.delete)
    runs = blocking(SeriesCalls.runs)


class BlockingMessagesCalls(Twin[MessagesCalls]):
    """See `MessagesCalls`."""

    send = blocking(MessagesCalls.send)
    newest = blocking(MessagesCalls.newest)
    get = blocking(MessagesCalls.get)


class BlockingSegmentsCalls(Twin[SegmentsCalls]):
    """See `SegmentsCalls`."""

    page = blocking(SegmentsCalls.page)
    get = blocking(SegmentsCalls.get)
    save = blocking(SegmentsCalls.save)
    delete = blocking(SegmentsCalls.delete)
    count = blocking(SegmentsCalls.count)


class BlockingCareCalls(Twin[CareCalls]):
    """See `CareCalls`."""

    opt_outs_page = blocking(CareCalls.opt_outs_page)
    opt_outs = iterating(CareCalls.opt_outs)
    opt_out = blocking(CareCalls.opt_out)
    opt_outs_of = blocking(CareCalls.opt_outs_of)
    set_opt_outs = blocking(CareCalls.set_opt_outs)
    exclusion_lists = blocking(CareCalls.exclusion_lists)
    excluded = blocking(CareCalls.excluded)
    exclude = blocking(CareCalls.exclude)
    readmit = blocking(CareCalls.readmit)
    delete_exclusion_list = blocking(CareCalls.delete_exclusion_list)


class BlockingTemplatesCalls(Twin[TemplatesCalls]):
    """See `TemplatesCalls`."""

    page = blocking(TemplatesCalls.page)
    get = blocking(TemplatesCalls.get)
    versions = blocking(TemplatesCalls.versions)
    version = blocking(TemplatesCalls.version)
    compare = blocking(TemplatesCalls.compare)
    save = blocking(TemplatesCalls.save)
    restore = blocking(TemplatesCalls.restore)
    delete = blocking(TemplatesCalls.delete)


class BlockingInstallationsCalls(Twin[InstallationsCalls]):
    """See `InstallationsCalls`."""

    page = blocking(InstallationsCalls.page)
    all = iterating(InstallationsCalls.all)
    upsert_many = blocking(InstallationsCalls.upsert_many)
    get = blocking(InstallationsCalls.get)
    put = blocking(InstallationsCalls.put)
    delete = blocking(InstallationsCalls.delete)
    erase = blocking(InstallationsCalls.erase)


class BlockingLanesCalls(Twin[LanesCalls]):
    """See `LanesCalls`."""

    all = blocking(LanesCalls.all)
    roles = blocking(LanesCalls.roles)
    apps = blocking(LanesCalls.apps)


class BlockingQueueCalls(Twin[QueueCalls]):
    """See `QueueCalls`."""

    get = blocking(QueueCalls.get)
    begin_drain = blocking(QueueCalls.begin_drain)
    end_drain = blocking(QueueCalls.end_drain)


class BlockingReportsCalls(Twin[ReportsCalls]):
    """See `ReportsCalls`."""

    targets = blocking(ReportsCalls.targets)
    deliveries = blocking(ReportsCalls.deliveries)
    test = blocking(ReportsCalls.test)
    replay = blocking(ReportsCalls.replay)


class BlockingKeysCalls(Twin[KeysCalls]):
    """See `KeysCalls`."""

    page = blocking(KeysCalls.page)
    all = iterating(KeysCalls.all)
    create = blocking(KeysCalls.create)
    find = blocking(KeysCalls.find)
    roll = blocking(KeysCalls.roll)
    revoke = blocking(KeysCalls.revoke)


class BlockingUsersCalls(Twin[UsersCalls]):
    """See `UsersCalls`."""

    page = blocking(UsersCalls.page)
    all = iterating(UsersCalls.all)
    add = blocking(UsersCalls.add)
    find = blocking(UsersCalls.find)
    set_role = blocking(UsersCalls.set_role)
    link = blocking(UsersCalls.link)
    disable = blocking(UsersCalls.disable)
    enable = blocking(UsersCalls.enable)


class BlockingSessionsCalls(Twin[SessionsCalls]):
    """See `SessionsCalls`."""

    end_all = blocking(SessionsCalls.end_all)


class BlockingLogCalls(Twin[LogCalls]):
    """See `LogCalls`."""

    page = blocking(LogCalls.page)
    all = iterating(LogCalls.all)


class BlockingAccessCalls(Twin[AccessCalls]):
    """See `AccessCalls`."""

    whoami = blocking(AccessCalls.whoami)

    def __init__(self, part: AccessCalls, runner: asyncio.Runner) -> None:
        super().__init__(part, runner)
        self.keys = BlockingKeysCalls(part.keys, runner)
        self.users = BlockingUsersCalls(part.users, runner)
        self.sessions = BlockingSessionsCalls(part.sessions, runner)
        self.log = BlockingLogCalls(part.log, runner)
