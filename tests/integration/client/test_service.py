"""The client against the service itself: every kind of call, and a network that fails."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from stentor.access.caller import local_caller
from stentor.access.scopes import Scope
from stentor.client import ApiProblem, WatchedEvent, shapes
from stentor.testing.proxy import Way
from tests.integration.client.conftest import MESSAGE, PHONES, USERS, Served

TOKEN = "ab" * 32


async def test_a_campaign_from_its_preview_to_its_report(served: Served) -> None:
    async with served.client() as client:
        assert (await client.access.whoami()).name == "tests"
        preview = await client.campaigns.prepare(message=MESSAGE, audience=USERS)
        assert (preview.recipients, preview.unroutable) == (PHONES - 10, 10)
        draft = await client.campaigns.create(message=MESSAGE, audience=USERS, title="first")
        assert draft.state == "draft"
        content = await client.campaigns.content(draft.id)
        assert content.message["title"] == "News"
        changed = await client.campaigns.change(
            draft.id, message=MESSAGE, audience=USERS, title="second", if_match=draft
        )
        assert (changed.title, changed.revision) == ("second", draft.revision + 1)
        with pytest.raises(ApiProblem) as told:
            await client.campaigns.start(draft.id, if_match=draft)
        assert (told.value.status, told.value.slug) == (412, "precondition-failed")
        found = await client.campaigns.get(draft.id, if_none_match=draft)
        assert found.etag == changed.etag != draft.etag
        assert await client.campaigns.get(draft.id, if_none_match=found) is found, "nothing has changed"
        with pytest.raises(ApiProblem) as told:
            await client.campaigns.check(draft.id, if_match=draft)
        assert told.value.slug == "precondition-failed"
        with pytest.raises(ApiProblem) as told:
            await client.campaigns.start(draft.id, expect_recipients=PHONES * 2)
        assert told.value.slug == "unconfirmed"
        started = await client.campaigns.start(draft.id, confirmation=preview.confirmation, if_match=changed)
        assert started.state == "running"
        assert (await client.campaigns.pause(draft.id)).state == "paused"
        assert (await client.campaigns.resume(draft.id)).state == "running"
        await served.stentor.roles.run(draft.id)
        report = await client.outcomes.report(draft.id)
        assert (report.accepted, report.campaign.state) == (PHONES - 10, "completed")
        assert (await client.outcomes.audit(draft.id)).exact
        assert (await client.outcomes.progress(draft.id)).total.read == PHONES
        assert (await client.outcomes.explain(draft.id, "20")).outcome == "accepted"


async def test_lists_come_page_by_page(served: Served) -> None:
    async with served.client() as client:
        made = [(await client.campaigns.create(message=MESSAGE, audience=USERS)).id for _ in range(3)]
        first = await client.campaigns.page(limit=2)
        assert [each.id for each in first.campaigns] == made[:0:-1]
        second = await client.campaigns.page(limit=2, cursor=first.next)
        assert ([each.id for each in second.campaigns], second.next) == (made[:1], None)
        assert [each.id async for each in client.campaigns.all(state="draft")] == made[::-1]
        assert [each.id async for each in client.campaigns.all(state="running")] == []
        with pytest.raises(ApiProblem) as told:
            await client.campaigns.page(state="paused", cursor=first.next)
        assert (told.value.status, told.value.slug) == (400, "invalid-cursor")
        assert [each.name async for each in client.access.keys.all()] == ["tests"]
        actions = [each.action async for each in client.access.log.all(action="campaign.create")]
        assert actions == ["campaign.create"] * 3


async def test_a_problem_names_the_field(served: Served) -> None:
    async with served.client() as client:
        wrong: Any = {"titel": "News"}
        with pytest.raises(ApiProblem) as told:
            await client.campaigns.create(message=wrong, audience=USERS)
        problem = told.value
        assert (problem.status, problem.slug) == (422, "invalid-message")
        assert [each.pointer for each in problem.errors] == ["/message/titel"]
        assert problem.request_id
        assert problem.request_id in str(problem)
        with pytest.raises(ApiProblem) as told:
            await client.campaigns.page(limit=100_000)
        assert told.value.errors[0].parameter == "limit"
    view = await served.stentor.access.keys.create(local_caller(), "view", Scope.VIEW)
    async with served.client(view.text) as client:
        with pytest.raises(ApiProblem) as told:
            await client.campaigns.create(message=MESSAGE, audience=USERS)
        assert (told.value.status, told.value.slug) == (403, "forbidden")
    async with served.client("stentor_live_" + "A" * 50) as client:
        with pytest.raises(ApiProblem) as told:
            await client.campaigns.get("x")
        assert told.value.status == 401
        assert "AAAA" not in repr(told.value)


async def test_installations_with_ids_of_all_kinds(served: Served) -> None:
    async with served.client() as client:
        for name in ("4711", "a/b", "é?#%", ".."):
            put = await client.installations.put(name, address=TOKEN, channel="apns", attributes={"plan": "pro"})
            assert (put.change, put.installation.id) == ("added", name)
            found = await client.installations.get(name, address=True)
            assert (found.id, found.address, found.attributes) == (name, TOKEN, {"plan": "pro"})
            assert TOKEN not in repr(found)
            await client.installations.delete(name)
            with pytest.raises(ApiProblem, match="not-found"):
                await client.installations.get(name)
        await client.installations.put("x", address=TOKEN, channel="apns")
        assert (await client.installations.erase("x")).registered


def rows(number: int) -> Iterator[dict[str, Any]]:
    for each in range(number):
        yield {"id": str(each), "address": f"{each:064x}", "channel": "apns", "plan": "pro"}


async def test_a_stream_of_installations(served: Served) -> None:
    async def later() -> AsyncIterator[dict[str, Any]]:
        for each in rows(3000):
            yield each
        yield {"id": "bad", "address": "zz", "channel": "apns"}

    async with served.client() as client:
        told = await client.installations.upsert_many(later())
        assert (told.counts.read, told.counts.added, sum(told.counts.rejected.values())) == (3001, 3000, 1)
        assert [(each.line, each.fate) for each in told.rejected] == [(3001, "rejected")]
        again = await client.installations.upsert_many(rows(3000))
        assert again.counts.unchanged == 3000
        bare = [{"id": "bare", "address": TOKEN}]
        assert (await client.installations.upsert_many(bare, channel="apns")).counts.added == 1
        assert len([each async for each in client.installations.all(channel="apns")]) == 3001


async def test_a_source_of_rows_that_fails_is_heard_of(served: Served) -> None:
    def failing() -> Iterator[dict[str, Any]]:
        yield from rows(500)
        raise LookupError("the cursor is gone")

    async with served.client() as client:
        with pytest.raises(LookupError, match="the cursor is gone"):
            await client.installations.upsert_many(failing())
        with pytest.raises(TypeError):
            await client.installations.upsert_many([{"id": object()}])
        assert (await client.installations.upsert_many(rows(1000))).counts.read == 1000


async def test_a_list_is_sent_again_if_the_connection_breaks(served: Served) -> None:
    async with served.client() as client:
        served.proxy.drop(100_000)
        told = await client.installations.upsert_many(list(rows(3000)))
        assert told.counts.read == 3000
        served.proxy.drop(100_000)
        with pytest.raises(ApiProblem) as problem:
            await client.installations.upsert_many(rows(3000))
        assert problem.value.slug == "no-answer"


async def test_whoever_may_not_stream_is_told_so(served: Served) -> None:
    view = await served.stentor.access.keys.create(local_caller(), "view", Scope.VIEW)
    async with served.client(view.text) as client:
        with pytest.raises(ApiProblem) as told:
            await client.installations.upsert_many(list(rows(20_000)))
        assert told.value.slug == "forbidden"


async def test_who_was_not_reached_and_who_was(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = await served.sent()
    async with served.client() as client:
        page = client.outcomes.failures_page

        async def small(campaign: str, **given: Any) -> shapes.FailuresPage:
            return await page(campaign, **{**given, "limit": 3})

        monkeypatch.setattr(client.outcomes, "failures_page", small)
        failures = [each async for each in client.outcomes.failures(campaign)]
        assert sorted(int(each.installation) for each in failures) == list(range(1, 11))
        assert [each async for each in client.outcomes.failures(campaign, reason="nosuch")] == []
        assert [each async for each in client.outcomes.export_failures(campaign)] == failures

        whole = [each async for each in client.outcomes.export_recipients(campaign)]
        assert len({each.installation for each in whole}) == PHONES
        place = f"{whole[9].batch_id}:{whole[9].position}"
        assert [each async for each in client.outcomes.export_recipients(campaign, after=place)] == whole[10:]
        assert [each async for each in client.outcomes.export_recipients(campaign, outcome="waiting")] == []
        served.proxy.drop(300, Way.BACK)
        assert [each async for each in client.outcomes.export_recipients(campaign)] == whole

        table, lines = io.BytesIO(), io.BytesIO()
        await client.outcomes.save_recipients(campaign, table)
        read = list(csv.DictReader(io.StringIO(table.getvalue().decode(), newline="")))
        assert [each["installation"] for each in read] == [each.installation for each in whole]
        await client.outcomes.save_failures(campaign, lines, format="jsonl")
        assert msgspec.json.Decoder(shapes.Failure).decode_lines(lines.getvalue()) == failures
        with pytest.raises(ApiProblem, match="not-found"):
            await anext(client.outcomes.export_recipients("nosuch"))


async def test_events_to_the_end_over_a_network_that_fails(served: Served) -> None:
    async with served.client() as client:
        made = await client.campaigns.create(message=MESSAGE, audience=USERS, start=True)
        seen: list[WatchedEvent] = []
        running: asyncio.Task[Any] | None = None
        async with aclosing(client.events(made.id)) as events:
            async for event in events:
                seen.append(event)
                if len(seen) == 1:
                    await served.proxy.cut()
                    await served.proxy.mend()
                    await served.stentor.campaigns.pause(made.id)
                if len(seen) == 2:
                    await served.stentor.campaigns.resume(made.id)
                    running = asyncio.create_task(served.stentor.roles.run(made.id))
        assert running is not None
        await running
    assert [each.kind for each in seen[:2]] == ["snapshot", "snapshot"]
    assert isinstance(seen[1].data, shapes.Progress)
    assert seen[1].data.campaign.state == "paused"
    assert [each.kind for each in seen[-2:]] == ["report", "end"]
    assert isinstance(seen[-2].data, shapes.Report)
    assert isinstance(seen[-1].data, shapes.EndedCampaign)


async def test_events_of_all_campaigns(served: Served) -> None:
    async with served.client() as client:
        made = await client.campaigns.create(message=MESSAGE, audience=USERS, start=True)
        events = client.events()
        first = await anext(events)
        assert isinstance(first.data, shapes.CampaignsNow)
        assert first.data.campaigns[made.id].state == "running"
        await client.campaigns.pause(made.id)
        second = await anext(events)
        assert isinstance(second.data, shapes.StateChanged)
        assert (second.kind, second.data.before, second.data.state) == ("state", "running", "paused")
        with pytest.raises(ApiProblem, match="not-found"):
            await anext(client.events("nosuch"))


async def test_a_lost_answer_makes_nothing_twice(served: Served) -> None:
    async with served.client() as client:
        await client.campaigns.page()  # a connection is there
        served.proxy.drop(0, Way.BACK)
        made = await client.campaigns.create(message=MESSAGE, audience=USERS)
        assert [each.id async for each in client.campaigns.all()] == [made.id]
        served.proxy.drop(0, Way.BACK)
        await client.campaigns.discard(made.id)  # which the service did at the first try
        assert [each.id async for each in client.campaigns.all()] == []
        with pytest.raises(ApiProblem, match="not-found"):
            await client.campaigns.discard(made.id)


async def test_a_key_of_ones_own_repeats_a_request_of_an_earlier_process(served: Served) -> None:
    ids = set()
    for _ in range(2):
        async with served.client() as client:
            made = await client.campaigns.create(message=MESSAGE, audience=USERS, idempotency_key="sale-1")
            ids.add(made.id)
            with pytest.raises(ApiProblem) as told:
                await client.campaigns.create(message=MESSAGE, audience=USERS, title="x", idempotency_key="sale-1")
            assert told.value.slug == "key-used-with-other-body"
    assert len(ids) == 1


async def test_a_service_that_is_away_is_waited_for_and_not_for_ever(served: Served) -> None:
    async with served.client() as client:
        await served.proxy.cut()
        asking = asyncio.create_task(client.access.whoami())
        await asyncio.sleep(0.3)
        await served.proxy.mend()
        assert (await asking).name == "tests"
    await served.proxy.cut()
    async with served.client(patience=0.2) as client:
        for work in (client.access.whoami(), anext(client.events()), anext(client.outcomes.export_recipients("x"))):
            with pytest.raises(ApiProblem) as told:
                await work
            assert (told.value.status, told.value.slug) == (0, "no-answer")
            assert told.value.__context__ is None
            assert served.key not in repr(told.value)


async def test_a_message_to_a_few(served: Served) -> None:
    async with served.client() as client:
        made = await client.messages.send(
            message={"title": "Code", "body": "{{ code }}"}, values={"code": "290117"}, audience="users", to=["20"]
        )
        assert [each.id for each in (await client.messages.newest()).messages] == [made.id]
        waiting = asyncio.create_task(client.messages.get(made.id, wait=30))
        await served.stentor.roles.run(made.id)
        assert [each.outcome for each in (await waiting).recipients] == ["accepted"]


async def test_the_rest_of_it(served: Served) -> None:
    async with served.client() as client:
        assert {each.lane for each in (await client.lanes.all()).lanes} == {"apns/ios", "fcm/android"}
        assert len((await client.lanes.apps()).apps) == 2
        assert (await client.queue.begin_drain()).draining
        assert (await client.queue.get()).draining
        await client.queue.end_drain()
        assert not (await client.queue.get()).draining
        assert (await client.reports.targets()).targets == []
        assert (await client.reports.deliveries(limit=5)).reports == []
        issued = await client.access.keys.create(name="shop", scope="send")
        assert issued.key is not None
        assert issued.key not in repr(issued)
        assert (await client.access.keys.roll(issued.about.id, overlap=0)).key != issued.key
        await client.access.keys.revoke(issued.about.id)
        assert (await client.access.keys.find(issued.about.id)).revoked_at is not None
        ada = await client.access.users.add(name="ada", role="write")
        assert (await client.access.users.set_role(ada.id, role="send")).role == "send"
        link = await client.access.users.link(ada.id)
        assert (await client.access.users.disable(ada.id)).id == ada.id
        assert (await client.access.users.enable(ada.id)).id == ada.id
        assert (await client.access.sessions.end_all(ada.id)).ended == 0
        assert [each.name async for each in client.access.users.all()] == ["ada"]
        assert link.link is not None
        assert link.link not in repr(link)


async def test_the_blocking_client_does_the_same(served: Served) -> None:
    campaign = await served.sent()

    def work() -> None:
        with served.blocking_client() as client:
            draft = client.campaigns.create(message=MESSAGE, audience=USERS)
            assert client.campaigns.get(draft.id).etag == draft.etag
            assert [each.id for each in client.campaigns.all()] == [draft.id, campaign]
            client.campaigns.discard(draft.id, if_match=draft)
            with pytest.raises(ApiProblem, match="not-found"):
                client.campaigns.get(draft.id)
            assert client.installations.upsert_many(rows(1500)).counts.added == 1500
            assert len(list(client.outcomes.export_recipients(campaign))) == PHONES
            assert len(list(client.outcomes.failures(campaign))) == 10
            table = io.BytesIO()
            client.outcomes.save_failures(campaign, table)
            assert table.getvalue().count(b"\r\n") == 11
            assert [each.kind for each in client.events(campaign)][-1] == "end"
            for _ in client.events():
                break  # the connection is let go
            assert [each.name for each in client.access.keys.all()] == ["tests"]
            assert client.access.whoami().scope == "admin"

    await asyncio.to_thread(work)
