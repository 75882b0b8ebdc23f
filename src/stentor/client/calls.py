"""A method for each operation of the API.

Drawn from the API's operations by `docs/render_client.py`; don't edit it here.
Each method raises `ApiProblem`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, BinaryIO, Literal

from stentor.client import fields, shapes
from stentor.client.calling import headers, paged
from stentor.client.connection import ApiConnection, ApiRequest, path
from stentor.client.exporting import ExportFormat, rows, save
from stentor.client.uploading import InstallationRows, upsert


class CampaignsCalls:
    """Campaigns: previewed, made, started, stopped, taken back."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def prepare(
        self,
        *,
        message: fields.MessageFile | None = None,
        template: str | None = None,
        audience: fields.Audience,
        values: Mapping[str, str] | None = None,
        title: str | None = None,
        starts_at: float | None = None,
        max_rate: float | None = None,
        timing: fields.Timing | None = None,
        pause_above: float | None = None,
        category: str | None = None,
        exclude: list[str] | None = None,
        not_reached_by: list[str] | None = None,
        caps: list[str] | None = None,
        sample: str | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.Preview:
        """Check and count a campaign without making it.

        Says how many get it on each lane, how long that takes at least, and what real recipients would get. Its
        `confirmation` can be demanded when the campaign is started.

        Calls `preview_campaign`, which needs the scope `write`.

        Args:
            message: What is sent, as a message file has it: fields of the message, options of channels, `translations`.
            template: In place of a message: the name of a saved template, or `NAME@VERSION`. The campaign keeps its
                text.
            audience: Whom a campaign is for.
            values: Values for the templates that are the same for everybody. They are shown as they are.
            title: What the campaign is called in lists and reports. Left out: as the message's title.
            starts_at: When it starts, in epoch seconds. Left out: as soon as it is started.
            max_rate: The most pushes a second over all lanes. Left out: as fast as the lanes allow.
            timing: When each recipient gets it, counted from the start. Left out: everybody at once.
            pause_above: The share of failures on a lane above which it pauses by itself, e.g. 0.2; 1: never. Left out:
                as the settings say.
            category: What it is about, e.g. `news`: who said no to that gets nothing.
            exclude: Names of exclusion lists. Who is on one gets nothing.
            not_reached_by: Ids of campaigns. Whoever one of them reached, or perhaps did, gets nothing.
            caps: Frequency caps of its own, beside those of the settings: `1 a day`, `3 in 24h of news`.
            sample: Show what the installation with this id would get. Left out: one of each language.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path="/v1/campaigns/preview",
                body={
                    "message": message,
                    "template": template,
                    "audience": audience,
                    "values": values,
                    "title": title,
                    "starts_at": starts_at,
                    "max_rate": max_rate,
                    "timing": timing,
                    "pause_above": pause_above,
                    "category": category,
                    "exclude": exclude,
                    "not_reached_by": not_reached_by,
                    "caps": caps,
                    "sample": sample,
                },
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Preview,
        )

    async def create(
        self,
        *,
        message: fields.MessageFile | None = None,
        template: str | None = None,
        audience: fields.Audience,
        values: Mapping[str, str] | None = None,
        title: str | None = None,
        starts_at: float | None = None,
        max_rate: float | None = None,
        timing: fields.Timing | None = None,
        pause_above: float | None = None,
        category: str | None = None,
        exclude: list[str] | None = None,
        not_reached_by: list[str] | None = None,
        caps: list[str] | None = None,
        confirmation: str | None = None,
        expect_recipients: int | None = None,
        tolerance: float | None = None,
        once: str | None = None,
        count: bool | None = None,
        start: bool = False,
        idempotency_key: str | None = None,
    ) -> shapes.Campaign:
        """Make a campaign; with `start=true`, start it as well.

        It is counted, and refused if a preview would refuse it; then nothing is made. A draft says nothing of what a
        preview only warns of. What sends it are the roles: `stentor serve`, or `stentor worker`.

        Calls `create_campaign`, which needs the scope `write`.

        Args:
            message: What is sent, as a message file has it: fields of the message, options of channels, `translations`.
            template: In place of a message: the name of a saved template, or `NAME@VERSION`. The campaign keeps its
                text.
            audience: Whom a campaign is for.
            values: Values for the templates that are the same for everybody. They are shown as they are.
            title: What the campaign is called in lists and reports. Left out: as the message's title.
            starts_at: When it starts, in epoch seconds. Left out: as soon as it is started.
            max_rate: The most pushes a second over all lanes. Left out: as fast as the lanes allow.
            timing: When each recipient gets it, counted from the start. Left out: everybody at once.
            pause_above: The share of failures on a lane above which it pauses by itself, e.g. 0.2; 1: never. Left out:
                as the settings say.
            category: What it is about, e.g. `news`: who said no to that gets nothing.
            exclude: Names of exclusion lists. Who is on one gets nothing.
            not_reached_by: Ids of campaigns. Whoever one of them reached, or perhaps did, gets nothing.
            caps: Frequency caps of its own, beside those of the settings: `1 a day`, `3 in 24h of news`.
            confirmation: A preview's. The message and the audience must be those, and the count about that one.
            expect_recipients: How many recipients there should be.
            tolerance: By which share the count may differ from either. Left out: 0.05.
            once: A key under which only one campaign is ever started, e.g. `episode-12`.
            count: False: check the message alone. The audience is counted, and the apps are checked, before the start.
            start: Start it in the same call. Needs the scope `send`.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path="/v1/campaigns",
                query={
                    "count": count,
                    "start": start,
                },
                body={
                    "message": message,
                    "template": template,
                    "audience": audience,
                    "values": values,
                    "title": title,
                    "starts_at": starts_at,
                    "max_rate": max_rate,
                    "timing": timing,
                    "pause_above": pause_above,
                    "category": category,
                    "exclude": exclude,
                    "not_reached_by": not_reached_by,
                    "caps": caps,
                    "confirmation": confirmation,
                    "expect_recipients": expect_recipients,
                    "tolerance": tolerance,
                    "once": once,
                },
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Campaign,
        )

    async def page(
        self,
        *,
        state: Literal["draft", "scheduled", "running", "paused", "cancelling", "completed", "cancelled", "failed"]
        | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> shapes.CampaignsPage:
        """Campaigns, the newest first.

        Calls `list_campaigns`, which needs the scope `view`.

        Args:
            state: Only campaigns in this state.
            limit: How many campaigns. Left out: 50.
            cursor: `next` of the page before.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/campaigns",
                query={
                    "state": state,
                    "limit": limit,
                    "cursor": cursor,
                },
            ),
            shapes.CampaignsPage,
        )

    def all(
        self,
        *,
        state: Literal["draft", "scheduled", "running", "paused", "cancelling", "completed", "cancelled", "failed"]
        | None = None,
    ) -> AsyncGenerator[shapes.ListedCampaign, None]:
        """Each of them, from all pages: see `page`."""
        return paged(
            lambda cursor: self.page(state=state, limit=200, cursor=cursor),
            lambda page: page.campaigns,
        )

    async def get(
        self,
        campaign: str,
        *,
        if_none_match: shapes.Campaign | None = None,
    ) -> shapes.Campaign:
        """A campaign, without its message.

        Calls `get_campaign`, which needs the scope `view`.

        Args:
            if_none_match: The campaign as you got it: it is what you get if nothing has changed, and nothing is sent
                again.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/campaigns/{campaign}", campaign=campaign),
                headers=headers(if_none_match=if_none_match),
                known=if_none_match,
            ),
            shapes.Campaign,
        )

    async def content(self, campaign: str) -> shapes.Content:
        """What a campaign sends, in all its languages.

        Calls `get_message`, which needs the scope `write`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/campaigns/{campaign}/message", campaign=campaign),
            ),
            shapes.Content,
        )

    async def change(
        self,
        campaign: str,
        *,
        message: fields.MessageFile | None = None,
        template: str | None = None,
        audience: fields.Audience,
        values: Mapping[str, str] | None = None,
        title: str | None = None,
        starts_at: float | None = None,
        max_rate: float | None = None,
        timing: fields.Timing | None = None,
        pause_above: float | None = None,
        category: str | None = None,
        exclude: list[str] | None = None,
        not_reached_by: list[str] | None = None,
        caps: list[str] | None = None,
        count: bool | None = None,
        if_match: shapes.Campaign | str | None = None,
    ) -> shapes.Campaign:
        """Make a draft another one. With `If-Match`, only if nobody changed it meanwhile.

        Calls `change_campaign`, which needs the scope `write`.

        Args:
            message: What is sent, as a message file has it: fields of the message, options of channels, `translations`.
            template: In place of a message: the name of a saved template, or `NAME@VERSION`. The campaign keeps its
                text.
            audience: Whom a campaign is for.
            values: Values for the templates that are the same for everybody. They are shown as they are.
            title: What the campaign is called in lists and reports. Left out: as the message's title.
            starts_at: When it starts, in epoch seconds. Left out: as soon as it is started.
            max_rate: The most pushes a second over all lanes. Left out: as fast as the lanes allow.
            timing: When each recipient gets it, counted from the start. Left out: everybody at once.
            pause_above: The share of failures on a lane above which it pauses by itself, e.g. 0.2; 1: never. Left out:
                as the settings say.
            category: What it is about, e.g. `news`: who said no to that gets nothing.
            exclude: Names of exclusion lists. Who is on one gets nothing.
            not_reached_by: Ids of campaigns. Whoever one of them reached, or perhaps did, gets nothing.
            caps: Frequency caps of its own, beside those of the settings: `1 a day`, `3 in 24h of news`.
            count: False: check the message alone. The audience is counted, and the apps are checked, before the start.
            if_match: The campaign as you got it, or its ETag: refuse if it was changed meanwhile.
        """
        return await self._connection.ask(
            ApiRequest(
                method="PUT",
                path=path("/v1/campaigns/{campaign}", campaign=campaign),
                query={
                    "count": count,
                },
                body={
                    "message": message,
                    "template": template,
                    "audience": audience,
                    "values": values,
                    "title": title,
                    "starts_at": starts_at,
                    "max_rate": max_rate,
                    "timing": timing,
                    "pause_above": pause_above,
                    "category": category,
                    "exclude": exclude,
                    "not_reached_by": not_reached_by,
                    "caps": caps,
                },
                headers=headers(if_match=if_match),
            ),
            shapes.Campaign,
        )

    async def check(
        self,
        campaign: str,
        *,
        sample: str | None = None,
        if_match: shapes.Campaign | str | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.Preview:
        """Check and count a draft as it is stored, as a preview does. The count is kept with the draft.

        Calls `check_campaign`, which needs the scope `write`.

        Args:
            sample: Show what the installation with this id would get. Left out: one of each language.
            if_match: The campaign as you got it, or its ETag: refuse if it was changed meanwhile.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/campaigns/{campaign}/check", campaign=campaign),
                body={
                    "sample": sample,
                },
                headers=headers(if_match=if_match, idempotency_key=idempotency_key),
            ),
            shapes.Preview,
        )

    async def discard(
        self,
        campaign: str,
        *,
        if_match: shapes.Campaign | str | None = None,
    ) -> None:
        """Delete a draft. What was started is not deleted here: it is cancelled, and pruned when it is old.

        Calls `delete_campaign`, which needs the scope `write`.

        Args:
            if_match: The campaign as you got it, or its ETag: refuse if it was changed meanwhile.
        """
        await self._connection.ask(
            ApiRequest(
                method="DELETE",
                path=path("/v1/campaigns/{campaign}", campaign=campaign),
                headers=headers(if_match=if_match),
            ),
            None,
        )

    async def start(
        self,
        campaign: str,
        *,
        confirmation: str | None = None,
        expect_recipients: int | None = None,
        tolerance: float | None = None,
        once: str | None = None,
        hold: float | None = None,
        if_match: shapes.Campaign | str | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.Campaign:
        """Start a draft: at once, or at its time.

        With `hold`, nothing is sent for so many seconds, and the start can be taken back until then.

        Calls `start_campaign`, which needs the scope `send`.

        Args:
            confirmation: A preview's. The message and the audience must be those, and the count about that one.
            expect_recipients: How many recipients there should be.
            tolerance: By which share the count may differ from either. Left out: 0.05.
            once: A key under which only one campaign is ever started, e.g. `episode-12`.
            hold: For how many seconds nothing is sent yet, so that the start can be taken back by `unschedule`. Left
                out: 0.0.
            if_match: The campaign as you got it, or its ETag: refuse if it was changed meanwhile.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/campaigns/{campaign}/start", campaign=campaign),
                body={
                    "confirmation": confirmation,
                    "expect_recipients": expect_recipients,
                    "tolerance": tolerance,
                    "once": once,
                    "hold": hold,
                },
                headers=headers(if_match=if_match, idempotency_key=idempotency_key),
            ),
            shapes.Campaign,
        )

    async def unschedule(
        self,
        campaign: str,
        *,
        idempotency_key: str | None = None,
    ) -> shapes.Campaign:
        """Make a campaign that waits for its start, or is held, a draft again. Nothing of it is sent.

        Calls `unschedule_campaign`, which needs the scope `send`.

        Args:
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/campaigns/{campaign}/unschedule", campaign=campaign),
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Campaign,
        )

    async def test(
        self,
        campaign: str,
        *,
        installations: list[str],
        idempotency_key: str | None = None,
    ) -> shapes.Campaign:
        """Send a campaign's message to a few installations of its audience, as a campaign of its own.

        Calls `test_campaign`, which needs the scope `send`.

        Args:
            installations: The ids of those who get the test.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/campaigns/{campaign}/test", campaign=campaign),
                body={
                    "installations": installations,
                },
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Campaign,
        )

    async def pause(
        self,
        campaign: str,
        *,
        idempotency_key: str | None = None,
    ) -> shapes.Campaign:
        """Send nothing more of it until it is resumed. Takes effect within a second.

        Calls `pause_campaign`, which needs the scope `send`.

        Args:
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/campaigns/{campaign}/pause", campaign=campaign),
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Campaign,
        )

    async def resume(
        self,
        campaign: str,
        *,
        idempotency_key: str | None = None,
    ) -> shapes.Campaign:
        """Go on with a paused campaign.

        Calls `resume_campaign`, which needs the scope `send`.

        Args:
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/campaigns/{campaign}/resume", campaign=campaign),
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Campaign,
        )

    async def release(
        self,
        campaign: str,
        *,
        idempotency_key: str | None = None,
    ) -> shapes.Campaign:
        """Send to those as well who wait for this: all but the canary, or everybody if it has a hold.

        Calls `release_campaign`, which needs the scope `send`.

        Args:
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/campaigns/{campaign}/release", campaign=campaign),
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Campaign,
        )

    async def cancel(
        self,
        campaign: str,
        *,
        idempotency_key: str | None = None,
    ) -> shapes.Campaign:
        """Send nothing more of it, ever. Takes effect within a second.

        It is `cancelling` while some process still holds a part of it, and `cancelled` then.

        Calls `cancel_campaign`, which needs the scope `send`.

        Args:
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/campaigns/{campaign}/cancel", campaign=campaign),
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Campaign,
        )

    async def retry(
        self,
        campaign: str,
        *,
        reasons: list[str] | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.Campaign:
        """Make a draft with the same message for those whom a campaign did not reach.

        Calls `retry_campaign`, which needs the scope `send`.

        Args:
            reasons: Only those that failed for one of these reasons. Left out: all but those whose address is dead.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/campaigns/{campaign}/retry", campaign=campaign),
                body={
                    "reasons": reasons,
                },
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Campaign,
        )

    async def prepare_undo(
        self,
        campaign: str,
        *,
        message: fields.MessageFile | None = None,
        values: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.Preview:
        """How many messages would be taken back, on which lanes.

        Calls `preview_undo`, which needs the scope `send`.

        Args:
            message: What replaces pushes that cannot be deleted. Left out: a silent push tells the app to remove them.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/campaigns/{campaign}/undo/preview", campaign=campaign),
                body={
                    "message": message,
                    "values": values,
                },
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Preview,
        )

    async def undo(
        self,
        campaign: str,
        *,
        message: fields.MessageFile | None = None,
        values: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.Campaign:
        """Make a draft that takes back what a campaign sent. One that is being sent is cancelled first.

        Start the draft to take the messages back. Chats' messages are deleted; pushes are replaced.

        Calls `undo_campaign`, which needs the scope `send`.

        Args:
            message: What replaces pushes that cannot be deleted. Left out: a silent push tells the app to remove them.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/campaigns/{campaign}/undo", campaign=campaign),
                body={
                    "message": message,
                    "values": values,
                },
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Campaign,
        )

    async def edit(
        self,
        campaign: str,
        *,
        message: fields.MessageFile,
        values: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.Campaign:
        """Make a draft that puts another message in the place of what a campaign sent.

        One that is being sent is cancelled first. Start the draft to change the messages.

        Calls `edit_campaign`, which needs the scope `send`.

        Args:
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/campaigns/{campaign}/edit", campaign=campaign),
                body={
                    "message": message,
                    "values": values,
                },
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Campaign,
        )


class OutcomesCalls:
    """What became of campaigns: progress, report, failures, one recipient, the audit."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def progress(self, campaign: str) -> shapes.Progress:
        """Where every recipient of a campaign is at this moment.

        Calls `get_progress`, which needs the scope `view`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/campaigns/{campaign}/progress", campaign=campaign),
            ),
            shapes.Progress,
        )

    async def report(self, campaign: str) -> shapes.Report:
        """What became of a campaign so far, with the reasons of those not reached.

        Calls `get_report`, which needs the scope `view`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/campaigns/{campaign}/report", campaign=campaign),
            ),
            shapes.Report,
        )

    async def audit(self, campaign: str) -> shapes.Audit:
        """Recount a campaign from its recipients themselves. Takes as long as it takes to read all of them.

        Calls `audit_campaign`, which needs the scope `view`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/campaigns/{campaign}/audit", campaign=campaign),
                silence=3600.0,
            ),
            shapes.Audit,
        )

    async def explain(self, campaign: str, installation: str) -> shapes.Explanation:
        """What became of one recipient, from planning to the provider's answer.

        Calls `explain_recipient`, which needs the scope `view`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path(
                    "/v1/campaigns/{campaign}/recipients/{installation}", campaign=campaign, installation=installation
                ),
            ),
            shapes.Explanation,
        )

    async def failures_page(
        self,
        campaign: str,
        *,
        lane: str | None = None,
        reason: str | None = None,
        outcome: Literal["rejected", "expired", "ambiguous"] | None = None,
        dead: bool | None = None,
        addresses: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> shapes.FailuresPage:
        """Who was not reached, and why, in the order of the batches.

        Calls `list_failures`, which needs the scope `view`.

        Args:
            lane: Only those of one lane, e.g. `apns/ios`.
            reason: Only those for one reason, e.g. `Unregistered`.
            outcome: Only those that ended so.
            dead: Only those whose address is (or isn't) dead.
            addresses: With each one's address, as the audience has it now. Needs the scope `write`.
            limit: How many failures. Left out: 100.
            cursor: `next` of the page before.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/campaigns/{campaign}/failures", campaign=campaign),
                query={
                    "lane": lane,
                    "reason": reason,
                    "outcome": outcome,
                    "dead": dead,
                    "addresses": addresses,
                    "limit": limit,
                    "cursor": cursor,
                },
            ),
            shapes.FailuresPage,
        )

    def failures(
        self,
        campaign: str,
        *,
        lane: str | None = None,
        reason: str | None = None,
        outcome: Literal["rejected", "expired", "ambiguous"] | None = None,
        dead: bool | None = None,
        addresses: bool = False,
    ) -> AsyncGenerator[shapes.Failure, None]:
        """Each of them, from all pages: see `failures_page`."""
        return paged(
            lambda cursor: self.failures_page(
                campaign,
                lane=lane,
                reason=reason,
                outcome=outcome,
                dead=dead,
                addresses=addresses,
                limit=1000,
                cursor=cursor,
            ),
            lambda page: page.failures,
        )

    def export_failures(
        self,
        campaign: str,
        *,
        lane: str | None = None,
        reason: str | None = None,
        outcome: Literal["rejected", "expired", "ambiguous"] | None = None,
        dead: bool | None = None,
        addresses: bool = False,
        after: str | None = None,
    ) -> AsyncGenerator[shapes.Failure, None]:
        """Everybody who was not reached.

        The list comes compressed. If the connection breaks, it goes on by itself after the last row.

        Calls `export_failures`, which needs the scope `view`.

        Args:
            lane: Only those of one lane, e.g. `apns/ios`.
            reason: Only those for one reason, e.g. `Unregistered`.
            outcome: Only those that ended so.
            dead: Only those whose address is (or isn't) dead.
            addresses: With each one's address, as the audience has it now. Needs the scope `write`.
            after: Go on after this one: the `batch_id` and the `position` of the last line that you have, with a colon
                between.
        """
        return rows(
            self._connection,
            path("/v1/campaigns/{campaign}/failures/export", campaign=campaign),
            {
                "lane": lane,
                "reason": reason,
                "outcome": outcome,
                "dead": dead,
                "addresses": addresses,
                "after": after,
            },
            shapes.Failure,
        )

    async def save_failures(
        self,
        campaign: str,
        file: BinaryIO,
        *,
        format: ExportFormat = "csv",
        lane: str | None = None,
        reason: str | None = None,
        outcome: Literal["rejected", "expired", "ambiguous"] | None = None,
        dead: bool | None = None,
        addresses: bool = False,
        after: str | None = None,
    ) -> None:
        """Write the rows of `export_failures` to a file, as they come."""
        await save(
            self._connection,
            path("/v1/campaigns/{campaign}/failures/export", campaign=campaign),
            {
                "lane": lane,
                "reason": reason,
                "outcome": outcome,
                "dead": dead,
                "addresses": addresses,
                "after": after,
            },
            file,
            format,
        )

    def export_recipients(
        self,
        campaign: str,
        *,
        lane: str | None = None,
        outcome: Literal["accepted", "rejected", "expired", "cancelled", "ambiguous", "waiting"] | None = None,
        after: str | None = None,
    ) -> AsyncGenerator[shapes.Recipient, None]:
        """Every recipient and what became of it.

        The list comes compressed. If the connection breaks, it goes on by itself after the last row.

        Calls `export_recipients`, which needs the scope `view`.

        Args:
            lane: Only those of one lane.
            outcome: Only those that ended so.
            after: Go on after this one: the `batch_id` and the `position` of the last line that you have, with a colon
                between.
        """
        return rows(
            self._connection,
            path("/v1/campaigns/{campaign}/recipients/export", campaign=campaign),
            {
                "lane": lane,
                "outcome": outcome,
                "after": after,
            },
            shapes.Recipient,
        )

    async def save_recipients(
        self,
        campaign: str,
        file: BinaryIO,
        *,
        format: ExportFormat = "csv",
        lane: str | None = None,
        outcome: Literal["accepted", "rejected", "expired", "cancelled", "ambiguous", "waiting"] | None = None,
        after: str | None = None,
    ) -> None:
        """Write the rows of `export_recipients` to a file, as they come."""
        await save(
            self._connection,
            path("/v1/campaigns/{campaign}/recipients/export", campaign=campaign),
            {
                "lane": lane,
                "outcome": outcome,
                "after": after,
            },
            file,
            format,
        )


class SeriesCalls:
    """Series: campaigns that recur, and what became of their runs."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def next_times(
        self,
        *,
        cron: str,
        zone: str | None = None,
        count: int | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.NextTimes:
        """When a series would be due next. Nothing is saved.

        Calls `preview_series`, which needs the scope `write`.

        Args:
            cron: Minute, hour, day, month and weekday, as cron has them.
            zone: The time zone whose clocks `cron` means. Left out: UTC.
            count: How many times. Left out: 5.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path="/v1/series/next",
                body={
                    "cron": cron,
                    "zone": zone,
                    "count": count,
                },
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.NextTimes,
        )

    async def add(
        self,
        *,
        message: fields.MessageFile | None = None,
        template: str | None = None,
        audience: fields.Audience,
        values: Mapping[str, str] | None = None,
        title: str | None = None,
        starts_at: float | None = None,
        max_rate: float | None = None,
        timing: fields.Timing | None = None,
        pause_above: float | None = None,
        category: str | None = None,
        exclude: list[str] | None = None,
        not_reached_by: list[str] | None = None,
        caps: list[str] | None = None,
        name: str,
        cron: str,
        zone: str | None = None,
        missed: Literal["skip", "one"] | None = None,
        count: bool | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.Series:
        """Save a recurring campaign. The schedulers make and start its runs when they are due.

        It is checked and counted as a campaign is.

        Calls `create_series`, which needs the scope `send`.

        Args:
            message: What is sent, as a message file has it: fields of the message, options of channels, `translations`.
            template: In place of a message: the name of a saved template, or `NAME@VERSION`. The campaign keeps its
                text.
            audience: Whom a campaign is for.
            values: Values for the templates that are the same for everybody. They are shown as they are.
            title: What the campaign is called in lists and reports. Left out: as the message's title.
            starts_at: When it starts, in epoch seconds. Left out: as soon as it is started.
            max_rate: The most pushes a second over all lanes. Left out: as fast as the lanes allow.
            timing: When each recipient gets it, counted from the start. Left out: everybody at once.
            pause_above: The share of failures on a lane above which it pauses by itself, e.g. 0.2; 1: never. Left out:
                as the settings say.
            category: What it is about, e.g. `news`: who said no to that gets nothing.
            exclude: Names of exclusion lists. Who is on one gets nothing.
            not_reached_by: Ids of campaigns. Whoever one of them reached, or perhaps did, gets nothing.
            caps: Frequency caps of its own, beside those of the settings: `1 a day`, `3 in 24h of news`.
            name: What it is called. No two series are called alike.
            cron: Minute, hour, day, month and weekday, as cron has them, e.g. `0 18 * * mon-fri`.
            zone: The time zone whose clocks `cron` means, e.g. `Europe/Berlin`. Left out: UTC.
            missed: What becomes of runs that were due while no scheduler ran: `skip`, or `one`, which sends the newest
                late. Left out: skip.
            count: False: check the message alone. Each run is counted and checked anyway.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path="/v1/series",
                query={
                    "count": count,
                },
                body={
                    "message": message,
                    "template": template,
                    "audience": audience,
                    "values": values,
                    "title": title,
                    "starts_at": starts_at,
                    "max_rate": max_rate,
                    "timing": timing,
                    "pause_above": pause_above,
                    "category": category,
                    "exclude": exclude,
                    "not_reached_by": not_reached_by,
                    "caps": caps,
                    "name": name,
                    "cron": cron,
                    "zone": zone,
                    "missed": missed,
                },
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Series,
        )

    async def page(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
    ) -> shapes.SeriesPage:
        """Recurring campaigns, in the order of their names, each with its newest run.

        Calls `list_series`, which needs the scope `view`.

        Args:
            limit: How many series. Left out: 100.
            after: `next` of the page before.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/series",
                query={
                    "limit": limit,
                    "after": after,
                },
            ),
            shapes.SeriesPage,
        )

    async def get(self, series: str) -> shapes.Series:
        """A recurring campaign.

        Calls `get_series`, which needs the scope `view`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/series/{series}", series=series),
            ),
            shapes.Series,
        )

    async def draft(self, series: str) -> shapes.SeriesDraft:
        """What the runs of a recurring campaign are made of, without the message.

        Calls `get_series_draft`, which needs the scope `write`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/series/{series}/draft", series=series),
            ),
            shapes.SeriesDraft,
        )

    async def content(self, series: str) -> shapes.Content:
        """What a recurring campaign sends, in all its languages.

        Calls `get_series_message`, which needs the scope `write`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/series/{series}/message", series=series),
            ),
            shapes.Content,
        )

    async def change(
        self,
        series: str,
        *,
        message: fields.MessageFile | None = None,
        template: str | None = None,
        audience: fields.Audience,
        values: Mapping[str, str] | None = None,
        title: str | None = None,
        starts_at: float | None = None,
        max_rate: float | None = None,
        timing: fields.Timing | None = None,
        pause_above: float | None = None,
        category: str | None = None,
        exclude: list[str] | None = None,
        not_reached_by: list[str] | None = None,
        caps: list[str] | None = None,
        name: str,
        cron: str,
        zone: str | None = None,
        missed: Literal["skip", "one"] | None = None,
        count: bool | None = None,
        if_match: shapes.Campaign | str | None = None,
    ) -> shapes.Series:
        """Make a recurring campaign another one. With `If-Match`, only if nobody changed it meanwhile.

        Campaigns that its runs have made stay as they are.

        Calls `change_series`, which needs the scope `send`.

        Args:
            message: What is sent, as a message file has it: fields of the message, options of channels, `translations`.
            template: In place of a message: the name of a saved template, or `NAME@VERSION`. The campaign keeps its
                text.
            audience: Whom a campaign is for.
            values: Values for the templates that are the same for everybody. They are shown as they are.
            title: What the campaign is called in lists and reports. Left out: as the message's title.
            starts_at: When it starts, in epoch seconds. Left out: as soon as it is started.
            max_rate: The most pushes a second over all lanes. Left out: as fast as the lanes allow.
            timing: When each recipient gets it, counted from the start. Left out: everybody at once.
            pause_above: The share of failures on a lane above which it pauses by itself, e.g. 0.2; 1: never. Left out:
                as the settings say.
            category: What it is about, e.g. `news`: who said no to that gets nothing.
            exclude: Names of exclusion lists. Who is on one gets nothing.
            not_reached_by: Ids of campaigns. Whoever one of them reached, or perhaps did, gets nothing.
            caps: Frequency caps of its own, beside those of the settings: `1 a day`, `3 in 24h of news`.
            name: What it is called. No two series are called alike.
            cron: Minute, hour, day, month and weekday, as cron has them, e.g. `0 18 * * mon-fri`.
            zone: The time zone whose clocks `cron` means, e.g. `Europe/Berlin`. Left out: UTC.
            missed: What becomes of runs that were due while no scheduler ran: `skip`, or `one`, which sends the newest
                late. Left out: skip.
            count: False: check the message alone. Each run is counted and checked anyway.
            if_match: The campaign as you got it, or its ETag: refuse if it was changed meanwhile.
        """
        return await self._connection.ask(
            ApiRequest(
                method="PUT",
                path=path("/v1/series/{series}", series=series),
                query={
                    "count": count,
                },
                body={
                    "message": message,
                    "template": template,
                    "audience": audience,
                    "values": values,
                    "title": title,
                    "starts_at": starts_at,
                    "max_rate": max_rate,
                    "timing": timing,
                    "pause_above": pause_above,
                    "category": category,
                    "exclude": exclude,
                    "not_reached_by": not_reached_by,
                    "caps": caps,
                    "name": name,
                    "cron": cron,
                    "zone": zone,
                    "missed": missed,
                },
                headers=headers(if_match=if_match),
            ),
            shapes.Series,
        )

    async def pause(
        self,
        series: str,
        *,
        idempotency_key: str | None = None,
    ) -> shapes.Series:
        """Make no more runs until it is resumed. A run under way goes on.

        Calls `pause_series`, which needs the scope `send`.

        Args:
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/series/{series}/pause", series=series),
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Series,
        )

    async def resume(
        self,
        series: str,
        *,
        idempotency_key: str | None = None,
    ) -> shapes.Series:
        """Go on with the next run that is due. Those in between are left out.

        Calls `resume_series`, which needs the scope `send`.

        Args:
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/series/{series}/resume", series=series),
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Series,
        )

    async def delete(self, series: str) -> None:
        """Delete a recurring campaign and the list of its runs.

        Campaigns that its runs have made stay, and go on.

        Calls `delete_series`, which needs the scope `send`.
        """
        await self._connection.ask(
            ApiRequest(
                method="DELETE",
                path=path("/v1/series/{series}", series=series),
            ),
            None,
        )

    async def runs(
        self,
        series: str,
        *,
        limit: int | None = None,
        before: float | None = None,
    ) -> shapes.RunsPage:
        """What became of the runs of a recurring campaign, the newest first. The newest thousand are kept.

        Calls `list_series_runs`, which needs the scope `view`.

        Args:
            limit: How many runs. Left out: 100.
            before: `next` of the page before.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/series/{series}/runs", series=series),
                query={
                    "limit": limit,
                    "before": before,
                },
            ),
            shapes.RunsPage,
        )


class MessagesCalls:
    """Transactional messages: to a few recipients, ahead of all campaigns on their lanes."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def send(
        self,
        *,
        message: fields.MessageFile | None = None,
        template: str | None = None,
        values: Mapping[str, str] | None = None,
        to: list[str] | None = None,
        audience: str | None = None,
        lane: str | None = None,
        addresses: list[str] | None = None,
        language: str | None = None,
        title: str | None = None,
        once: str | None = None,
        wait: float | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.Message:
        """Send a message to a few recipients, ahead of all campaigns on their lanes.

        It is stored before this answers, and sent with the same guarantees as a campaign. An id that is not in the
        audience ends as rejected, with the reason `NotInAudience`.

        Calls `send_message`, which needs the scope `send`.

        Args:
            message: What is sent, as a message file has it.
            template: In place of a message: the name of a saved template, or `NAME@VERSION`.
            values: Values for the templates. They are shown as they are.
            to: Ids of installations of the audience: at most 100.
            audience: The name of an audience in the settings. Left out: Stentor's own table of installations. Left out:
                registry.
            lane: With `addresses`: the lane that serves them, e.g. `apns/ios`.
            addresses: Device tokens, subscriptions or chats, instead of `to`. They are called `address-1`, `address-2`
                and so on.
            language: The translation for those at the addresses, e.g. `de`.
            title: What the message is called in lists. Left out: as its title.
            once: A key under which only one message or campaign is ever sent.
            wait: Answer as soon as everybody has an outcome, or after so many seconds. Left out: 0.0.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path="/v1/messages",
                query={
                    "wait": wait,
                },
                body={
                    "message": message,
                    "template": template,
                    "values": values,
                    "to": to,
                    "audience": audience,
                    "lane": lane,
                    "addresses": addresses,
                    "language": language,
                    "title": title,
                    "once": once,
                },
                headers=headers(idempotency_key=idempotency_key),
                silence=self._connection.timeout + (wait or 0.0),
            ),
            shapes.Message,
        )

    async def newest(
        self,
        *,
        limit: int | None = None,
    ) -> shapes.MessagesPage:
        """The newest messages, without their recipients.

        Calls `list_messages`, which needs the scope `view`.

        Args:
            limit: How many, the newest first. Left out: 50.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/messages",
                query={
                    "limit": limit,
                },
            ),
            shapes.MessagesPage,
        )

    async def get(
        self,
        message_id: str,
        *,
        wait: float | None = None,
    ) -> shapes.Message:
        """What became of a message and of everybody whom it is for.

        Calls `get_message_outcome`, which needs the scope `view`.

        Args:
            wait: Answer as soon as everybody has an outcome, or after so many seconds. Left out: 0.0.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/messages/{message_id}", message_id=message_id),
                query={
                    "wait": wait,
                },
                silence=self._connection.timeout + (wait or 0.0),
            ),
            shapes.Message,
        )


class SegmentsCalls:
    """Segments: saved by name, and counted in an audience."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def page(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
    ) -> shapes.SegmentsPage:
        """Saved segments, in the order of their names.

        Calls `list_segments`, which needs the scope `write`.

        Args:
            limit: How many segments. Left out: 100.
            after: `next` of the page before.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/segments",
                query={
                    "limit": limit,
                    "after": after,
                },
            ),
            shapes.SegmentsPage,
        )

    async def get(self, name: str) -> shapes.Segment:
        """A saved segment.

        Calls `get_segment`, which needs the scope `write`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/segments/{name}", name=name),
            ),
            shapes.Segment,
        )

    async def save(
        self,
        name: str,
        *,
        segment: str | Mapping[str, Any] | list[Any],
    ) -> shapes.Segment:
        """Save a segment under a name, in the place of one that had it.

        Campaigns that were made with that one keep it.

        Calls `save_segment`, which needs the scope `write`.

        Args:
            segment: A text such as `country in [DE, AT]`, an object in MongoDB's words, or a list of OneSignal's
                filters.
        """
        return await self._connection.ask(
            ApiRequest(
                method="PUT",
                path=path("/v1/segments/{name}", name=name),
                body={
                    "segment": segment,
                },
            ),
            shapes.Segment,
        )

    async def delete(self, name: str) -> None:
        """Delete a saved segment. Campaigns that were made with it keep it.

        Calls `delete_segment`, which needs the scope `write`.
        """
        await self._connection.ask(
            ApiRequest(
                method="DELETE",
                path=path("/v1/segments/{name}", name=name),
            ),
            None,
        )

    async def count(
        self,
        *,
        audience: str,
        segment: str | Mapping[str, Any] | list[Any],
        within: float | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.SegmentCount:
        """Count a segment in an audience, and show some of the installations in it, without their addresses.

        If counting takes longer than `within`, a part of the audience is looked at, and the count is an estimate
        (`about`).

        Calls `count_segment`, which needs the scope `write`.

        Args:
            audience: The name of an audience in the settings, or `registry`.
            segment: The name of a saved segment, a text, an object in MongoDB's words, or a list of OneSignal's
                filters.
            within: Seconds after which an estimate will do. Left out: 5.0.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path="/v1/segments/count",
                body={
                    "audience": audience,
                    "segment": segment,
                    "within": within,
                },
                headers=headers(idempotency_key=idempotency_key),
                silence=self._connection.timeout + 180.0,
            ),
            shapes.SegmentCount,
        )


class CareCalls:
    """Whom campaigns leave alone: opt-outs and exclusion lists."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def opt_outs_page(
        self,
        *,
        category: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> shapes.OptOutsPage:
        """Who said no, and to what.

        Calls `list_opt_outs`, which needs the scope `write`.

        Args:
            category: Only of this category; `all`: only those of all messages.
            limit: How many. Left out: 100.
            cursor: `next` of the page before.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/opt-outs",
                query={
                    "category": category,
                    "limit": limit,
                    "cursor": cursor,
                },
            ),
            shapes.OptOutsPage,
        )

    def opt_outs(
        self,
        *,
        category: str | None = None,
    ) -> AsyncGenerator[shapes.OptOut, None]:
        """Each of them, from all pages: see `opt_outs_page`."""
        return paged(
            lambda cursor: self.opt_outs_page(category=category, limit=1000, cursor=cursor),
            lambda page: page.opt_outs,
        )

    async def opt_out(
        self,
        *,
        installations: list[str],
        category: str | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.Added:
        """Record that installations want no messages of campaigns, or none of a category.

        Calls `add_opt_outs`, which needs the scope `write`.

        Args:
            installations: Their ids. They need not be in any audience.
            category: What they say no to. Left out: to all messages.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path="/v1/opt-outs",
                body={
                    "installations": installations,
                    "category": category,
                },
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Added,
        )

    async def opt_outs_of(self, installation: str) -> shapes.InstallationOptOuts:
        """What an installation said no to. Empty if it said nothing, or isn't known.

        Calls `get_opt_outs`, which needs the scope `write`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/opt-outs/{installation}", installation=installation),
            ),
            shapes.InstallationOptOuts,
        )

    async def set_opt_outs(
        self,
        installation: str,
        *,
        categories: list[str],
    ) -> shapes.InstallationOptOuts:
        """Have an installation say no to exactly these categories.

        Calls `set_opt_outs`, which needs the scope `write`.

        Args:
            categories: All that it says no to: names of categories, or `all`. Empty: to nothing.
        """
        return await self._connection.ask(
            ApiRequest(
                method="PUT",
                path=path("/v1/opt-outs/{installation}", installation=installation),
                body={
                    "categories": categories,
                },
            ),
            shapes.InstallationOptOuts,
        )

    async def exclusion_lists(self) -> shapes.ExclusionLists:
        """The exclusion lists, and how many installations are on each.

        Calls `list_exclusions`, which needs the scope `write`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/exclusions",
            ),
            shapes.ExclusionLists,
        )

    async def excluded(
        self,
        name: str,
        *,
        limit: int | None = None,
        after: str | None = None,
    ) -> shapes.ExcludedPage:
        """Who is on an exclusion list.

        Calls `get_exclusions`, which needs the scope `write`.

        Args:
            limit: How many. Left out: 100.
            after: `next` of the page before.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/exclusions/{name}", name=name),
                query={
                    "limit": limit,
                    "after": after,
                },
            ),
            shapes.ExcludedPage,
        )

    async def exclude(
        self,
        name: str,
        *,
        installations: list[str],
        idempotency_key: str | None = None,
    ) -> shapes.Added:
        """Put installations on a list, which is made if there is none of this name.

        Calls `add_exclusions`, which needs the scope `write`.

        Args:
            installations: Their ids.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/exclusions/{name}/add", name=name),
                body={
                    "installations": installations,
                },
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Added,
        )

    async def readmit(
        self,
        name: str,
        *,
        installations: list[str],
        idempotency_key: str | None = None,
    ) -> shapes.Removed:
        """Take installations off a list.

        Calls `remove_exclusions`, which needs the scope `write`.

        Args:
            installations: Their ids.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/exclusions/{name}/remove", name=name),
                body={
                    "installations": installations,
                },
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Removed,
        )

    async def delete_exclusion_list(self, name: str) -> None:
        """Delete a list. A campaign that leaves it out and is still being planned is paused.

        Calls `delete_exclusions`, which needs the scope `write`.
        """
        await self._connection.ask(
            ApiRequest(
                method="DELETE",
                path=path("/v1/exclusions/{name}", name=name),
            ),
            None,
        )


class TemplatesCalls:
    """Messages saved by name, in all their versions."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def page(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
    ) -> shapes.TemplatesPage:
        """Saved templates, in the order of their names.

        Calls `list_templates`, which needs the scope `view`.

        Args:
            limit: How many templates. Left out: 100.
            after: `next` of the page before.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/templates",
                query={
                    "limit": limit,
                    "after": after,
                },
            ),
            shapes.TemplatesPage,
        )

    async def get(self, name: str) -> shapes.Template:
        """A saved template in its newest version.

        Calls `get_template`, which needs the scope `view`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/templates/{name}", name=name),
            ),
            shapes.Template,
        )

    async def versions(
        self,
        name: str,
        *,
        limit: int | None = None,
        before: int | None = None,
    ) -> shapes.TemplateVersionsPage:
        """The versions of a template, the newest first.

        Calls `list_template_versions`, which needs the scope `view`.

        Args:
            limit: How many versions. Left out: 100.
            before: `next` of the page before.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/templates/{name}/versions", name=name),
                query={
                    "limit": limit,
                    "before": before,
                },
            ),
            shapes.TemplateVersionsPage,
        )

    async def version(self, name: str, version: str) -> shapes.Template:
        """A version of a template.

        Calls `get_template_version`, which needs the scope `view`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/templates/{name}/versions/{version}", name=name, version=version),
            ),
            shapes.Template,
        )

    async def compare(
        self,
        name: str,
        *,
        version: int,
        to: int | None = None,
    ) -> shapes.TemplateComparison:
        """What one version of a template has otherwise than an earlier one, field by field and in plain words.

        Calls `compare_template`, which needs the scope `view`.

        Args:
            version: The earlier version.
            to: The version that it is compared with. Left out: the newest.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/templates/{name}/changes", name=name),
                query={
                    "version": version,
                    "to": to,
                },
            ),
            shapes.TemplateComparison,
        )

    async def save(
        self,
        name: str,
        *,
        message: fields.MessageFile,
        over: int | None = None,
        if_match: shapes.Campaign | str | None = None,
    ) -> shapes.Template:
        """Save a message under a name, as a new version.

        If the newest version says the same, there is no new one. With `If-Match`, or with `over`, nothing is saved if
        somebody saved another version meanwhile. Campaigns that were made from an earlier version keep it.

        Calls `save_template`, which needs the scope `write`.

        Args:
            message: As a message file has it: fields of the message, options of channels, `translations`.
            over: The newest version that you saw. If there is a newer one, nothing is saved. 0: there must be no
                template of this name yet. Left out: it is saved whatever there is.
            if_match: The campaign as you got it, or its ETag: refuse if it was changed meanwhile.
        """
        return await self._connection.ask(
            ApiRequest(
                method="PUT",
                path=path("/v1/templates/{name}", name=name),
                body={
                    "message": message,
                    "over": over,
                },
                headers=headers(if_match=if_match),
            ),
            shapes.Template,
        )

    async def restore(
        self,
        name: str,
        *,
        version: int,
        over: int | None = None,
        if_match: shapes.Campaign | str | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.Template:
        """Save an older version of a template again, as a new one.

        Calls `restore_template`, which needs the scope `write`.

        Args:
            over: The newest version that you saw. If there is a newer one, nothing is restored.
            if_match: The campaign as you got it, or its ETag: refuse if it was changed meanwhile.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/templates/{name}/restore", name=name),
                body={
                    "version": version,
                    "over": over,
                },
                headers=headers(if_match=if_match, idempotency_key=idempotency_key),
            ),
            shapes.Template,
        )

    async def delete(
        self,
        name: str,
        *,
        if_match: shapes.Campaign | str | None = None,
    ) -> None:
        """Delete a template with all its versions. Campaigns that were made from it stay as they are.

        Calls `delete_template`, which needs the scope `write`.

        Args:
            if_match: The campaign as you got it, or its ETag: refuse if it was changed meanwhile.
        """
        await self._connection.ask(
            ApiRequest(
                method="DELETE",
                path=path("/v1/templates/{name}", name=name),
                headers=headers(if_match=if_match),
            ),
            None,
        )


class InstallationsCalls:
    """Installations of the registry: one by one, as a stream, and a person erased."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def page(
        self,
        *,
        channel: str | None = None,
        app: str | None = None,
        dead: bool | None = None,
        addresses: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> shapes.InstallationPage:
        """Installations of the registry.

        Calls `list_installations`, which needs the scope `view`.

        Args:
            channel: Only those on this channel.
            app: Only those of this app; name its channel as well.
            dead: Only those whose address is (or isn't) dead.
            addresses: With their addresses whole. Needs the scope `write`.
            limit: How many. Left out: 100.
            cursor: `next` of the page before.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/installations",
                query={
                    "channel": channel,
                    "app": app,
                    "dead": dead,
                    "addresses": addresses,
                    "limit": limit,
                    "cursor": cursor,
                },
            ),
            shapes.InstallationPage,
        )

    def all(
        self,
        *,
        channel: str | None = None,
        app: str | None = None,
        dead: bool | None = None,
        addresses: bool = False,
    ) -> AsyncGenerator[shapes.Installation, None]:
        """Each of them, from all pages: see `page`."""
        return paged(
            lambda cursor: self.page(
                channel=channel, app=app, dead=dead, addresses=addresses, limit=1000, cursor=cursor
            ),
            lambda page: page.installations,
        )

    async def upsert_many(
        self,
        rows: InstallationRows,
        *,
        channel: str | None = None,
        app: str | None = None,
    ) -> shapes.StreamResult:
        """Add or change installations, as many as there are: JSON Lines, an object a line.

        Each line has an `id`, an `address` (or `token`) and a `channel`; all other names are attributes. A thousand
        lines at a time are committed. Sending the same stream again changes nothing, so a broken one is simply
        repeated.

        They are sent as they are taken from `rows`, never all at once.

        Calls `put_installations`, which needs the scope `write`.

        Args:
            channel: Of the lines that name none.
            app: Of the lines that name none.
        """
        return await upsert(
            self._connection,
            "/v1/installations",
            {
                "channel": channel,
                "app": app,
            },
            rows,
        )

    async def get(
        self,
        installation: str,
        *,
        address: bool = False,
    ) -> shapes.Installation:
        """An installation. Of its address only the beginning is shown, unless it is asked for.

        Attributes are shown to keys with the scope `write`.

        Calls `get_installation`, which needs the scope `view`.

        Args:
            address: With its address whole. Needs the scope `write`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/installations/{installation}", installation=installation),
                query={
                    "address": address,
                },
            ),
            shapes.Installation,
        )

    async def put(
        self,
        installation: str,
        *,
        address: str | None = None,
        channel: str | None = None,
        app: str | None = None,
        language: str | None = None,
        time_zone: str | None = None,
        registered_at: float | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> shapes.Put:
        """Add an installation, or change what is said of it.

        Calls `put_installation`, which needs the scope `write`.

        Args:
            address: The device token, subscription or chat. It may be left out if the installation is there already.
            channel: It may be left out if the installation is there already.
            language: E.g. `de` or `pt-BR`.
            time_zone: E.g. `Europe/Berlin`.
            registered_at: When the address was last registered, in epoch seconds.
            attributes: For templates and filters. They replace all that there were.
        """
        return await self._connection.ask(
            ApiRequest(
                method="PUT",
                path=path("/v1/installations/{installation}", installation=installation),
                body={
                    "address": address,
                    "channel": channel,
                    "app": app,
                    "language": language,
                    "time_zone": time_zone,
                    "registered_at": registered_at,
                    "attributes": attributes,
                },
            ),
            shapes.Put,
        )

    async def delete(self, installation: str) -> None:
        """Take an installation out of the registry. What campaigns know of it stays; see erasing.

        Calls `delete_installation`, which needs the scope `write`.
        """
        await self._connection.ask(
            ApiRequest(
                method="DELETE",
                path=path("/v1/installations/{installation}", installation=installation),
            ),
            None,
        )

    async def erase(
        self,
        installation: str,
        *,
        idempotency_key: str | None = None,
    ) -> shapes.Erased:
        """Remove a person: everything that holds this id or its address, in campaigns too.

        What could not be removed yet is in `left`; ask again later, until that is empty.

        Calls `erase_installation`, which needs the scope `admin`.

        Args:
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/installations/{installation}/erase", installation=installation),
                headers=headers(idempotency_key=idempotency_key),
                silence=self._connection.timeout + 30.0,
            ),
            shapes.Erased,
        )


class LanesCalls:
    """Lanes and apps."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def all(self) -> shapes.Lanes:
        """All configured lanes: what is queued, how fast the provider answers, and why one doesn't send.

        Calls `list_lanes`, which needs the scope `view`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/lanes",
            ),
            shapes.Lanes,
        )

    async def roles(self) -> shapes.Roles:
        """The roles: whether somebody does their work, why it stands still, and which processes do it.

        Calls `list_roles`, which needs the scope `view`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/roles",
            ),
            shapes.Roles,
        )

    async def apps(self) -> shapes.Apps:
        """The apps that are configured, without secrets.

        Calls `list_apps`, which needs the scope `view`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/apps",
            ),
            shapes.Apps,
        )


class QueueCalls:
    """The queue as a whole."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def get(self) -> shapes.Drain:
        """What is under way, and whether campaigns are held back.

        Calls `get_queue`, which needs the scope `view`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/queue",
            ),
            shapes.Drain,
        )

    async def begin_drain(self) -> shapes.Drain:
        """Have no campaign start from now on. Those under way go on; look at the queue until nothing is left.

        Calls `drain_queue`, which needs the scope `admin`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="PUT",
                path="/v1/queue/drain",
            ),
            shapes.Drain,
        )

    async def end_drain(self) -> None:
        """Let campaigns start again.

        Calls `end_drain`, which needs the scope `admin`.
        """
        await self._connection.ask(
            ApiRequest(
                method="DELETE",
                path="/v1/queue/drain",
            ),
            None,
        )


class ReportsCalls:
    """Reports and alarms: where they go to, and what became of them."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def targets(self) -> shapes.Targets:
        """The places that reports go to, without their secrets.

        Calls `list_targets`, which needs the scope `view`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/reports/targets",
            ),
            shapes.Targets,
        )

    async def deliveries(
        self,
        *,
        campaign: str | None = None,
        target: str | None = None,
        status: Literal["waiting", "sent", "failed"] | None = None,
        limit: int | None = None,
    ) -> shapes.Deliveries:
        """Reports and alarms, the newest first, with what became of each.

        Calls `list_reports`, which needs the scope `view`.

        Args:
            campaign: Only reports on this campaign.
            target: Only those to this target.
            status: Only those with this status.
            limit: How many, the newest first. Left out: 50.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/reports",
                query={
                    "campaign": campaign,
                    "target": target,
                    "status": status,
                    "limit": limit,
                },
            ),
            shapes.Deliveries,
        )

    async def test(
        self,
        *,
        target: str | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.TestedTargets:
        """Send a test report now, and nothing else.

        If its answer is lost, a repeated request with the same `Idempotency-Key` sends nothing: it is answered the
        same, or with 409 if nobody knows any more what came of it.

        Calls `test_reports`, which needs the scope `admin`.

        Args:
            target: To this target only. Left out: to all that it is for.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path="/v1/reports/test",
                body={
                    "target": target,
                },
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.TestedTargets,
        )

    async def replay(
        self,
        *,
        report: str,
        target: str | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.Deliveries:
        """Send a report again, with the same content and the same id.

        Calls `replay_report`, which needs the scope `admin`.

        Args:
            report: The report's id.
            target: To this target only. Left out: to all that it was for.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path="/v1/reports/replay",
                body={
                    "report": report,
                    "target": target,
                },
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Deliveries,
        )


class KeysCalls:
    """API keys."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def page(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> shapes.KeysPage:
        """API keys, without their texts.

        Calls `list_keys`, which needs the scope `admin`.

        Args:
            limit: How many. Left out: 50.
            cursor: `next` of the page before.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/keys",
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            ),
            shapes.KeysPage,
        )

    def all(self) -> AsyncGenerator[shapes.ApiKey, None]:
        """Each of them, from all pages: see `page`."""
        return paged(
            lambda cursor: self.page(limit=200, cursor=cursor),
            lambda page: page.keys,
        )

    async def create(
        self,
        *,
        name: str,
        scope: Literal["view", "write", "send", "admin"] | None = None,
        expires_at: float | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.IssuedKey:
        """Make an API key. Its text is shown only now: an answer to a repeated request has none.

        Calls `create_key`, which needs the scope `admin`.

        Args:
            name: What the key is for, e.g. the program that uses it.
            scope: What it may do. Each scope includes those before it. Left out: view.
            expires_at: When it ends, in epoch seconds. Left out: never.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path="/v1/keys",
                body={
                    "name": name,
                    "scope": scope,
                    "expires_at": expires_at,
                },
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.IssuedKey,
        )

    async def find(self, key: str) -> shapes.ApiKey:
        """An API key, without its text.

        Calls `get_key`, which needs the scope `admin`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/keys/{key}", key=key),
            ),
            shapes.ApiKey,
        )

    async def roll(
        self,
        key: str,
        *,
        overlap: float | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.IssuedKey:
        """Give a key a new text. The old one stays valid for a while.

        The new text is shown only now: an answer to a repeated request has none. Roll the key again if nobody has it.

        Calls `roll_key`, which needs the scope `admin`.

        Args:
            overlap: Seconds for which the old text stays valid. Left out: 86400.0.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/keys/{key}/roll", key=key),
                body={
                    "overlap": overlap,
                },
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.IssuedKey,
        )

    async def revoke(self, key: str) -> None:
        """End a key for good. Every process refuses it within five seconds.

        Calls `revoke_key`, which needs the scope `admin`.
        """
        await self._connection.ask(
            ApiRequest(
                method="DELETE",
                path=path("/v1/keys/{key}", key=key),
            ),
            None,
        )


class UsersCalls:
    """The users of the dashboard."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def page(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> shapes.UsersPage:
        """The users of the dashboard.

        Calls `list_users`, which needs the scope `admin`.

        Args:
            limit: How many. Left out: 50.
            cursor: `next` of the page before.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/users",
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            ),
            shapes.UsersPage,
        )

    def all(self) -> AsyncGenerator[shapes.User, None]:
        """Each of them, from all pages: see `page`."""
        return paged(
            lambda cursor: self.page(limit=200, cursor=cursor),
            lambda page: page.users,
        )

    async def add(
        self,
        *,
        name: str,
        role: Literal["view", "write", "send", "admin"] | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.User:
        """Make a user without a password. Ask for a link, by which the user sets one.

        Calls `create_user`, which needs the scope `admin`.

        Args:
            role: What the user may do. Each role includes those before it. Left out: view.
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path="/v1/users",
                body={
                    "name": name,
                    "role": role,
                },
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.User,
        )

    async def find(self, user: str) -> shapes.User:
        """A user of the dashboard.

        Calls `get_user`, which needs the scope `admin`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path=path("/v1/users/{user}", user=user),
            ),
            shapes.User,
        )

    async def set_role(
        self,
        user: str,
        *,
        role: Literal["view", "write", "send", "admin"],
    ) -> shapes.User:
        """Change what a user may do.

        Calls `set_role`, which needs the scope `admin`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="PUT",
                path=path("/v1/users/{user}/role", user=user),
                body={
                    "role": role,
                },
            ),
            shapes.User,
        )

    async def link(
        self,
        user: str,
        *,
        idempotency_key: str | None = None,
    ) -> shapes.OneTimeLink:
        """Make a link by which a user sets a password, once.

        It is shown only now: an answer to a repeated request has none. Ask for another link if nobody has it.

        Calls `link_user`, which needs the scope `admin`.

        Args:
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/users/{user}/link", user=user),
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.OneTimeLink,
        )

    async def disable(
        self,
        user: str,
        *,
        idempotency_key: str | None = None,
    ) -> shapes.User:
        """Keep a user out from now on, and end all sessions.

        Calls `disable_user`, which needs the scope `admin`.

        Args:
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/users/{user}/disable", user=user),
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.User,
        )

    async def enable(
        self,
        user: str,
        *,
        idempotency_key: str | None = None,
    ) -> shapes.User:
        """Let a user in again.

        Calls `enable_user`, which needs the scope `admin`.

        Args:
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/users/{user}/enable", user=user),
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.User,
        )


class SessionsCalls:
    """Sessions of users."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def end_all(
        self,
        user: str,
        *,
        idempotency_key: str | None = None,
    ) -> shapes.Ended:
        """End all sessions of a user.

        Calls `sign_out_user`, which needs the scope `admin`.

        Args:
            idempotency_key: Repeats an earlier request under its key. Left out: a new one.
        """
        return await self._connection.ask(
            ApiRequest(
                method="POST",
                path=path("/v1/users/{user}/sign-out", user=user),
                headers=headers(idempotency_key=idempotency_key),
            ),
            shapes.Ended,
        )


class LogCalls:
    """Who did what."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def page(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        caller_id: str | None = None,
        action: str | None = None,
        object: str | None = None,
        outcome: Literal["done", "refused", "failed"] | None = None,
    ) -> shapes.ActionsPage:
        """Who did what, the newest first.

        Calls `list_actions`, which needs the scope `admin`.

        Args:
            limit: How many. Left out: 50.
            cursor: `next` of the page before.
            caller_id: Only what this key or user did.
            action: Only this action, e.g. `campaign.start`.
            object: Only what was done to this: the id of a campaign, say.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/log",
                query={
                    "limit": limit,
                    "cursor": cursor,
                    "caller_id": caller_id,
                    "action": action,
                    "object": object,
                    "outcome": outcome,
                },
            ),
            shapes.ActionsPage,
        )

    def all(
        self,
        *,
        caller_id: str | None = None,
        action: str | None = None,
        object: str | None = None,
        outcome: Literal["done", "refused", "failed"] | None = None,
    ) -> AsyncGenerator[shapes.Action, None]:
        """Each of them, from all pages: see `page`."""
        return paged(
            lambda cursor: self.page(
                caller_id=caller_id, action=action, object=object, outcome=outcome, limit=200, cursor=cursor
            ),
            lambda page: page.actions,
        )


class AccessCalls:
    """Who may do what."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection
        self.keys = KeysCalls(connection)
        self.users = UsersCalls(connection)
        self.sessions = SessionsCalls(connection)
        self.log = LogCalls(connection)

    async def whoami(self) -> shapes.Caller:
        """Whose key this is, and what it may do.

        Calls `whoami`, which needs the scope `view`.
        """
        return await self._connection.ask(
            ApiRequest(
                method="GET",
                path="/v1/me",
            ),
            shapes.Caller,
        )
