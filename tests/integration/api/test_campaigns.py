"""Campaigns over the API: from the preview to the report, repeated requests, and what is refused."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from stentor.access.caller import local_caller
from stentor.access.log import ActionFilter
from stentor.access.scopes import Scope
from stentor.errors import StoreUnavailable
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from stentor.store import replies
from stentor.store.tables import replies as replies_table
from tests.integration.api.conftest import DRAFT, Service
from tests.integration.api.test_operations import problem
from tests.integration.runtime.rehearsal import AUDIENCE, change

PHONES = 40


async def test_a_campaign_from_the_preview_to_the_report(service: Service) -> None:
    seen = await service.made("POST", "/campaigns/preview", DRAFT)
    assert seen["recipients"] == PHONES
    wanted = {"confirmation": seen["confirmation"], "tolerance": 0}
    answer = await service.ask("POST", "/campaigns", DRAFT)
    made = answer.json()
    assert (answer.status_code, made["state"]) == (201, "draft")
    assert answer.headers["location"] == f"/v1/campaigns/{made['id']}"
    assert (await service.made("GET", f"/campaigns/{made['id']}")) == made
    message = await service.made("GET", f"/campaigns/{made['id']}/message")
    assert message == {"message": {"title": "News", "ttl": 3600}, "values": {}}
    started = await service.made("POST", f"/campaigns/{made['id']}/start", wanted)
    assert started["state"] == "running"
    report = await service.stentor.roles.run(made["id"])
    told = await service.made("GET", f"/campaigns/{made['id']}/report")
    assert told["accepted"] == report.total.accepted
    assert told["installations"] == PHONES
    assert (await service.made("GET", f"/campaigns/{made['id']}/progress"))["total"]["read"] == PHONES
    assert (await service.made("GET", f"/campaigns/{made['id']}/audit"))["exact"] is True
    story = await service.made("GET", f"/campaigns/{made['id']}/recipients/1")
    assert story["outcome"] == "accepted"
    done = await service.stentor.access.log.page(local_caller(), ActionFilter(object=made["id"]))
    assert [each.action for each in done] == ["campaign.start", "campaign.create"]
    assert {each.caller_name for each in done} == {"admin"}


async def test_a_draft_is_changed_and_deleted(service: Service) -> None:
    made = await service.made("POST", "/campaigns", DRAFT, status=201)
    better = {**DRAFT, "message": {"title": "Better"}, "title": "The better one", "max_rate": 5}
    changed = await service.made("PUT", f"/campaigns/{made['id']}", better)
    assert (changed["title"], changed["max_rate"], changed["id"]) == ("The better one", 5, made["id"])
    assert (await service.made("GET", f"/campaigns/{made['id']}/message"))["message"] == {"title": "Better"}
    await service.made("DELETE", f"/campaigns/{made['id']}", status=204)
    assert problem(await service.ask("GET", f"/campaigns/{made['id']}")) == "not-found"
    assert problem(await service.ask("DELETE", f"/campaigns/{made['id']}")) == "not-found"
    sent = await service.made("POST", "/campaigns?start=true", DRAFT, status=201)
    assert problem(await service.ask("PUT", f"/campaigns/{sent['id']}", better)) == "wrong-state"
    assert problem(await service.ask("DELETE", f"/campaigns/{sent['id']}")) == "wrong-state"


async def test_a_draft_that_somebody_changed_meanwhile_is_left_alone(service: Service) -> None:
    made = await service.ask("POST", "/campaigns", DRAFT)
    path = f"/campaigns/{made.json()['id']}"
    seen = await service.ask("GET", path)
    unchanged = await service.ask("GET", path, If_None_Match=seen.headers["etag"])
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    first = await service.ask("PUT", path, {**DRAFT, "title": "First"}, If_Match=seen.headers["etag"])
    assert first.status_code == 200
    second = await service.ask("PUT", path, {**DRAFT, "title": "Second"}, If_Match=seen.headers["etag"])
    assert (second.status_code, problem(second)) == (412, "precondition-failed")
    assert (await service.made("GET", path))["title"] == "First"


async def test_a_script_cannot_start_something_else(service: Service) -> None:
    seen = await service.made("POST", "/campaigns/preview", DRAFT)
    other = {**DRAFT, "message": {"title": "Other"}, "confirmation": seen["confirmation"]}
    assert problem(await service.ask("POST", "/campaigns?start=true", other)) == "unconfirmed"
    few = {"source": AUDIENCE, "only": ["1"]}
    fewer = {**DRAFT, "audience": few, "confirmation": seen["confirmation"]}
    assert problem(await service.ask("POST", "/campaigns?start=true", fewer)) == "unconfirmed"
    assert (
        problem(await service.ask("POST", "/campaigns?start=true", {**DRAFT, "expect_recipients": 30})) == "unconfirmed"
    )
    near = {**DRAFT, "expect_recipients": 39, "tolerance": 0.05}
    made = await service.made("POST", "/campaigns?start=true", near, status=201)
    assert made["state"] == "running"
    draft = await service.made("POST", "/campaigns", DRAFT, status=201)
    assert (
        problem(await service.ask("POST", f"/campaigns/{draft['id']}/start", {"expect_recipients": 4})) == "unconfirmed"
    )
    wrong = await service.ask("POST", f"/campaigns/{draft['id']}/start", {"confirmation": "x"})
    assert (problem(wrong), wrong.json()["errors"][0]["pointer"]) == ("invalid-input", "/confirmation")


@pytest.mark.parametrize("config", ["confirm_starts = true"], indirect=True)
async def test_where_starts_must_be_confirmed_nothing_starts_without(service: Service) -> None:
    refused = await service.ask("POST", "/campaigns?start=true", DRAFT)
    assert (problem(refused), refused.json()["errors"][0]["pointer"]) == ("invalid-input", "/confirmation")
    draft = await service.made("POST", "/campaigns", DRAFT, status=201)
    assert problem(await service.ask("POST", f"/campaigns/{draft['id']}/start", {})) == "invalid-input"
    seen = await service.made("POST", "/campaigns/preview", DRAFT)
    wanted = {"confirmation": seen["confirmation"]}
    assert (await service.made("POST", f"/campaigns/{draft['id']}/start", wanted))["state"] == "running"


@pytest.mark.parametrize(
    ("changed", "kind", "pointer"),
    [
        ({"message": {"titel": "x"}}, "invalid-message", "/message/titel"),
        ({"message": {"title": 7}}, "invalid-message", "/message/title"),
        ({"message": {"apns": {"priority": "x"}}}, "invalid-message", "/message/apns/priority"),
        ({"message": {"title": "{{ nosuch("}}, "invalid-message", "/message/title"),
        ({"message": {"title": "x"}, "values": {"unused": "1"}}, "invalid-message", "/values"),
        ({"message": {}}, "invalid-message", "/message"),
        ({"message": {"title": "x" * 5000}}, "invalid-message", None),
        ({"audience": {"source": "nosuch"}}, "audience-unusable", None),
        ({"audience": {"source": AUDIENCE, "filters": {"nosuch": ["x"]}}}, "audience-unusable", None),
        ({"audience": {"sourc": AUDIENCE}}, "invalid-input", "/audience/sourc"),
        ({"audience": {}}, "invalid-input", "/audience/source"),
        ({"audience": {"source": 3}}, "invalid-input", "/audience/source"),
        ({"starts_at": 1}, "invalid-input", "/starts_at"),
        ({"starts_at": 1e300}, "invalid-input", "/starts_at"),
        ({"max_rate": 0}, "invalid-input", "/max_rate"),
        ({"timing": {"local_at": "18:00"}}, "invalid-input", "/timing/local_at"),
        ({"timing": {"past": "later"}}, "invalid-input", "/timing/past"),
        ({"timing": {"locale_at": "x"}}, "invalid-input", "/timing/locale_at"),
        ({"timing": {"canary": "1%"}}, "invalid-input", "/timing/canary"),
        ({"title": "a\0b"}, "invalid-input", "/title"),
        ({"tolerance": 7}, "invalid-input", "/tolerance"),
    ],
)
async def test_what_is_wrong_is_told_by_field(
    service: Service, changed: dict[str, Any], kind: str, pointer: str | None
) -> None:
    answer = await service.ask("POST", "/campaigns?start=true", {**DRAFT, **changed})
    assert problem(answer) == kind, answer.text
    told = (answer.json()["errors"] or [{}])[0].get("pointer") if "errors" in answer.json() else None
    assert pointer is None or told == pointer, answer.text
    assert (await service.made("GET", "/campaigns"))["campaigns"] == []


async def test_to_make_needs_less_than_to_start(service: Service) -> None:
    made = await service.ask("POST", "/campaigns", DRAFT, scope=Scope.WRITE)
    assert made.status_code == 201
    refused = await service.ask("POST", "/campaigns?start=true", DRAFT, scope=Scope.WRITE)
    assert (refused.status_code, problem(refused)) == (403, "forbidden")
    assert len((await service.made("GET", "/campaigns"))["campaigns"]) == 1
    assert problem(await service.ask("GET", f"/campaigns/{made.json()['id']}/message", scope=Scope.VIEW)) == "forbidden"


async def test_who_may_only_view_sees_no_people(service: Service) -> None:
    whom = {"source": AUDIENCE, "only": ["1", "2"]}
    made = await service.made("POST", "/campaigns", {**DRAFT, "audience": whom}, status=201)
    for path in ("", "/report", "/progress"):
        answer = await service.ask("GET", f"/campaigns/{made['id']}{path}", scope=Scope.VIEW)
        told = answer.json()
        assert (told if not path else told["campaign"])["audience"] == {"source": AUDIENCE}
    listed = (await service.ask("GET", "/campaigns", scope=Scope.VIEW)).json()["campaigns"]
    assert listed[0]["audience"] == {"source": AUDIENCE}
    assert (await service.made("GET", f"/campaigns/{made['id']}"))["audience"]["only"] == ["1", "2"]


async def test_what_was_made_is_found_whatever_has_changed_since(service: Service, stentor: Stentor) -> None:
    body = {**DRAFT, "once": "news", "expect_recipients": PHONES, "tolerance": 0}
    first = await service.ask("POST", "/campaigns?start=true", body, Idempotency_Key="k")
    forgotten = sa.update(replies_table).values(status=None, until=0.0)  # as if it was killed before it answered
    await stentor._resources.database.write(lambda connection: connection.execute(forgotten))
    await service.made("PUT", "/queue/drain")
    again = await service.ask("POST", "/campaigns?start=true", body, Idempotency_Key="k")
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])


async def test_a_refusal_that_passes_is_tried_again(service: Service) -> None:
    made = await service.made("POST", "/campaigns", DRAFT, status=201)
    start = f"/campaigns/{made['id']}/start"
    await service.made("PUT", "/queue/drain")
    assert problem(await service.ask("POST", start, {}, Idempotency_Key="k")) == "wrong-state"
    await service.made("DELETE", "/queue/drain", status=204)
    assert (await service.ask("POST", start, {}, Idempotency_Key="k")).status_code == 200


async def test_a_start_keeps_to_what_was_seen(service: Service) -> None:
    made = await service.ask("POST", "/campaigns", DRAFT)
    path = f"/campaigns/{made.json()['id']}"
    changed = await service.ask("PUT", path, {**DRAFT, "max_rate": 5}, If_Match=f'W/{made.headers["etag"]}, "other"')
    assert changed.status_code == 200
    stale = await service.ask("POST", f"{path}/start", {}, If_Match=made.headers["etag"])
    assert problem(stale) == "precondition-failed"
    assert problem(await service.ask("DELETE", path, If_Match=made.headers["etag"])) == "precondition-failed"
    assert (await service.ask("POST", f"{path}/start", {}, If_Match=changed.headers["etag"])).status_code == 200


async def test_what_is_only_for_a_start_is_refused_without_one(service: Service) -> None:
    for extra in ({"once": "k"}, {"confirmation": "x"}):
        answer = await service.ask("POST", "/campaigns", {**DRAFT, **extra})
        assert (problem(answer), answer.json()["errors"][0]["pointer"]) == ("invalid-input", f"/{next(iter(extra))}")
    for wrong in ({"expect_recipients": -5}, {"expect_recipients": 10**400}, {"tolerance": 2}):
        assert problem(await service.ask("POST", "/campaigns?start=true", {**DRAFT, **wrong})) == "invalid-input"


async def test_a_repeated_request_is_answered_alike(service: Service) -> None:
    first = await service.ask("POST", "/campaigns?start=true", DRAFT, Idempotency_Key="news-1")
    again = await service.ask("POST", "/campaigns?start=true", DRAFT, Idempotency_Key="news-1")
    assert (again.status_code, again.content) == (first.status_code, first.content) == (201, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    other = await service.ask("POST", "/campaigns?start=true", {**DRAFT, "title": "x"}, Idempotency_Key="news-1")
    assert (other.status_code, problem(other)) == (422, "key-used-with-other-body")
    elsewhere = await service.ask("POST", "/campaigns", DRAFT, Idempotency_Key="news-1")
    assert problem(elsewhere) == "key-used-with-other-body"
    somebody = await service.ask("POST", "/campaigns?start=true", DRAFT, scope=Scope.SEND, Idempotency_Key="news-1")
    assert somebody.json()["id"] != first.json()["id"]  # the key is another caller's
    assert len((await service.made("GET", "/campaigns"))["campaigns"]) == 2
    for key in ("", "x" * 256, "é"):
        headers = [(b"Authorization", service.headers()["Authorization"].encode()), (b"Idempotency-Key", key.encode())]
        wrong = await service.anybody.post("/v1/campaigns", json=DRAFT, headers=headers)
        assert problem(wrong) == "invalid-input", key


async def test_a_refusal_is_kept_too(service: Service) -> None:
    wrong = {**DRAFT, "message": {}}
    first = await service.ask("POST", "/campaigns", wrong, Idempotency_Key="k")
    again = await service.ask("POST", "/campaigns", wrong, Idempotency_Key="k")
    assert problem(first) == problem(again) == "invalid-message"
    assert again.headers["idempotency-replayed"] == "true"


async def test_of_two_at_once_one_works(service: Service) -> None:
    answers = await asyncio.gather(
        *(service.ask("POST", "/campaigns", DRAFT, Idempotency_Key="both") for _ in range(6))
    )
    made = [each for each in answers if each.status_code == 201]
    waiting = [each for each in answers if each.status_code == 409]
    assert len(made) + len(waiting) == 6
    assert made
    for each in waiting:
        assert problem(each) == "in-progress"
        assert int(each.headers["retry-after"]) >= 1
    assert len({each.json()["id"] for each in made}) == 1
    assert len((await service.made("GET", "/campaigns"))["campaigns"]) == 1


class Killed(BaseException):
    """As if the process was killed here."""


async def _die(*_: object, **__: object) -> None:
    raise Killed


async def test_a_request_whose_process_died_makes_nothing_twice(
    service: Service, stentor: Stentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(stentor.replies, "answer", _die)
        broken.setattr(stentor.replies, "give_back", _die)
        with pytest.raises(Killed):
            await service.ask("POST", "/campaigns", DRAFT, Idempotency_Key="news-1")
    again = await service.ask("POST", "/campaigns", DRAFT, Idempotency_Key="news-1")
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true"), "it was kept with what was made"
    assert [each.id for each in await stentor.campaigns.newest()] == [again.json()["id"]]


async def test_a_request_whose_process_died_before_it_made_anything_is_taken_over(
    service: Service, stentor: Stentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(stentor.campaigns, "create", _die)
        broken.setattr(stentor.replies, "give_back", _die)
        with pytest.raises(Killed):
            await service.ask("POST", "/campaigns", DRAFT, Idempotency_Key="news-1")
    busy = await service.ask("POST", "/campaigns", DRAFT, Idempotency_Key="news-1")
    assert problem(busy) == "in-progress"
    monkeypatch.setattr(stentor.replies, "_clock", lambda: stentor._resources.clock() + replies.LEASE + 1)
    again = await service.ask("POST", "/campaigns", DRAFT, Idempotency_Key="news-1")
    assert again.status_code == 201
    found = await stentor.campaigns.newest()
    assert [each.id for each in found] == [again.json()["id"]]
    assert found[0].state is CampaignState.DRAFT


async def test_what_could_not_be_done_just_now_may_be_tried_again(
    service: Service, stentor: Stentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as broken:
        broken.setattr(stentor.campaigns, "create", away)
        answer = await service.ask("POST", "/campaigns", DRAFT, Idempotency_Key="k")
        assert (answer.status_code, problem(answer)) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
    assert (await service.ask("POST", "/campaigns", DRAFT, Idempotency_Key="k")).status_code == 201


async def test_campaigns_come_a_page_at_a_time(service: Service) -> None:
    ids = [(await service.made("POST", "/campaigns", DRAFT, status=201))["id"] for _ in range(5)]
    found: list[str] = []
    cursor = ""
    while True:
        page = await service.made("GET", f"/campaigns?limit=2{cursor}")
        found += [each["id"] for each in page["campaigns"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert sorted(found) == sorted(ids)
    assert len(found) == 5
    changed = await service.ask("GET", f"/campaigns?limit=2&state=draft{cursor}")
    assert (changed.status_code, problem(changed)) == (400, "invalid-cursor")
    for wrong in ("x", "", cursor[8:-2] + "AA"):
        assert problem(await service.ask("GET", f"/campaigns?cursor={wrong}")) == "invalid-cursor"
    assert problem(await service.ask("GET", "/campaigns?limit=0")) == "invalid-input"
    assert problem(await service.ask("GET", "/campaigns?state=nosuch")) == "invalid-input"


async def _with_failures(service: Service, folder: Path) -> str:
    """A campaign some of whose phones cannot be reached. Returns: its id."""
    change(folder, "UPDATE devices SET token = 'x' || id WHERE id IN (3, 4, 5)")
    made = await service.made("POST", "/campaigns?start=true", DRAFT, status=201)
    await service.stentor.roles.run(made["id"])
    identity: str = made["id"]
    return identity


async def test_failures_come_a_page_at_a_time_and_whole(service: Service, tmp_path: Path) -> None:
    campaign = await _with_failures(service, tmp_path)
    report = await service.made("GET", f"/campaigns/{campaign}/report")
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await service.made("GET", f"/campaigns/{campaign}/failures?limit=1{cursor}")
        found += page["failures"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert len(found) == report["failed"] > 1
    lines = await service.ask("GET", f"/campaigns/{campaign}/failures/export")
    assert [json.loads(line) for line in lines.text.splitlines()] == found
    rest = await service.ask(
        "GET", f"/campaigns/{campaign}/failures/export?after={found[0]['batch_id']}:{found[0]['position']}"
    )
    assert [json.loads(line) for line in rest.text.splitlines()] == found[1:]
    table = await service.ask("GET", f"/campaigns/{campaign}/failures/export?format=csv")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["installation"] for row in rows] == [each["installation"] for each in found]
    assert rows[0]["at"].endswith("Z")
    assert "address" not in rows[0]
    assert table.headers["content-disposition"] == f'attachment; filename="failures-{campaign}.csv"'
    with_addresses = f"/campaigns/{campaign}/failures/export?addresses=true"
    shown = await service.ask("GET", with_addresses)
    assert json.loads(shown.text.splitlines()[0])["address"]
    assert problem(await service.ask("GET", with_addresses, scope=Scope.VIEW)) == "forbidden"
    await service.made("GET", f"/campaigns/{campaign}/failures?addresses=true&limit=1")
    await service.ask("GET", f"/campaigns/{campaign}/recipients/export")
    read = [
        (each["action"], each["detail"])
        for each in (await service.made("GET", f"/log?object={campaign}"))["actions"]
        if each["action"].startswith(("failures", "recipients"))
    ]
    assert read[:3] == [
        ("recipients.export", ""),
        ("failures.read", "with addresses"),
        ("failures.export", "with addresses"),
    ]
    assert set(read[3:]) == {("failures.export", "")}, "a page without addresses leaves no row"
    for wrong in ("x", f"{campaign}/x:-1", "other/0:1", f"{campaign}/x:" + "9" * 30):
        assert (
            problem(await service.ask("GET", f"/campaigns/{campaign}/failures/export?after={wrong}")) == "invalid-input"
        )


async def test_every_recipient_can_be_exported(service: Service, tmp_path: Path) -> None:
    campaign = await _with_failures(service, tmp_path)
    report = await service.made("GET", f"/campaigns/{campaign}/report")
    answer = await service.ask("GET", f"/campaigns/{campaign}/recipients/export")
    everybody = [json.loads(line) for line in answer.text.splitlines()]
    assert len({each["installation"] for each in everybody}) == len(everybody) == PHONES
    accepted = await service.ask("GET", f"/campaigns/{campaign}/recipients/export?outcome=accepted&format=csv")
    assert len(accepted.text.splitlines()) == report["accepted"] + 1
    last = everybody[10]
    rest = await service.ask(
        "GET", f"/campaigns/{campaign}/recipients/export?after={last['batch_id']}:{last['position']}"
    )
    assert [json.loads(line) for line in rest.text.splitlines()] == everybody[11:]


async def test_an_export_is_compressed_where_the_client_takes_that(service: Service, tmp_path: Path) -> None:
    campaign = await _with_failures(service, tmp_path)
    request = service.anybody.build_request(
        "GET",
        f"/v1/campaigns/{campaign}/recipients/export",
        headers={**service.headers(), "Accept-Encoding": "gzip"},
    )
    answer = await service.anybody.send(request, stream=True)
    raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert len(gzip.decompress(raw).splitlines()) == PHONES


async def test_stop_and_go(service: Service) -> None:
    made = await service.made("POST", "/campaigns?start=true", DRAFT, status=201)
    path = f"/campaigns/{made['id']}"
    assert problem(await service.ask("POST", f"{path}/retry", {})) == "wrong-state"
    assert (await service.made("POST", f"{path}/pause"))["state"] == "paused"
    assert (await service.made("POST", f"{path}/resume"))["state"] == "running"
    assert (await service.made("POST", f"{path}/cancel"))["state"] in ("cancelling", "cancelled")
    await service.stentor.roles.run(made["id"])
    assert problem(await service.ask("POST", f"{path}/pause")) == "wrong-state"
    assert problem(await service.ask("POST", f"{path}/start", {})) == "wrong-state"


async def test_tests_retries_and_undo_are_campaigns_of_their_own(service: Service, tmp_path: Path) -> None:
    campaign = await _with_failures(service, tmp_path)
    path = f"/campaigns/{campaign}"
    test = await service.made("POST", f"{path}/test", {"installations": ["1", "2"]}, status=201)
    assert (test["state"], test["title"], test["audience"]["only"]) == ("running", "News (test)", ["1", "2"])
    assert problem(await service.ask("POST", f"{path}/test", {"installations": []})) == "invalid-input"
    seen = await service.made("POST", f"{path}/undo/preview", {})
    undo = await service.made("POST", f"{path}/undo", {}, status=201)
    assert (undo["state"], undo["title"]) == ("draft", "News (taken back)")
    assert sum(undo["expected"].values()) == seen["recipients"]
    edit = await service.made("POST", f"{path}/edit", {"message": {"title": "Right"}}, status=201)
    assert (edit["state"], edit["title"]) == ("draft", "News (edited)")
    again = await service.ask("POST", f"{path}/retry", {"reasons": ["NoSuchReason"]})
    assert problem(again) == "audience-unusable"
    for made, verb in ((test, "test"), (undo, "undo"), (edit, "edit")):
        (row,) = (await service.made("GET", f"/log?object={made['id']}"))["actions"]
        assert (row["action"], row["detail"]) == (f"campaign.{verb}", f"of campaign {campaign}")


async def test_lanes_apps_and_the_queue(service: Service) -> None:
    lanes = (await service.made("GET", "/lanes"))["lanes"]
    assert {each["lane"] for each in lanes} == {"apns/ios", "fcm/android"}
    roles = (await service.made("GET", "/roles"))["roles"]
    assert {(each["role"], each["lane"]) for each in roles} == {
        ("planner", None),
        ("sender", "apns/ios"),
        ("sender", "fcm/android"),
        ("scheduler", None),
    }
    assert {each["state"] for each in roles} <= {"idle", "waited_for", "working"}
    apps = (await service.made("GET", "/apps"))["apps"]
    (apns,) = [each for each in apps if each["channel"] == "apns"]
    assert apns["settings"]["topic"]
    assert "/" not in apns["settings"].get("key_file", "")
    assert (await service.made("PUT", "/queue/drain"))["draining"] is True
    assert problem(await service.ask("POST", "/campaigns?start=true", DRAFT)) == "wrong-state"
    await service.made("DELETE", "/queue/drain", status=204)
    found = await service.made("GET", "/queue")
    assert (found["draining"], found["backlog"]["drained"]) == (False, True)


async def test_a_mistake_of_ours_is_told_without_its_secrets(
    service: Service, stentor: Stentor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(stentor.campaigns, "get", fail)
    answer: httpx.Response = await service.ask("GET", "/campaigns/x")
    assert (answer.status_code, problem(answer)) == (500, "internal-error")
    assert "hunter2" not in answer.text
    assert answer.headers["x-request-id"] in answer.json()["detail"]
    assert answer.headers["x-request-id"] in caplog.text
    assert service.meter.answers["get_campaign", 500] == 1


async def test_a_held_start_is_taken_back(service: Service) -> None:
    made = await service.made("POST", "/campaigns?count=false", DRAFT, status=201)
    assert made["expected"] == {}, "nobody was counted"
    path = f"/campaigns/{made['id']}"
    seen = await service.made("POST", f"{path}/check", {})
    assert (await service.made("GET", path))["expected"] == {
        name: each["recipients"] for name, each in seen["lanes"].items()
    }
    wanted = {"confirmation": seen["confirmation"], "hold": 60}
    held = await service.made("POST", f"{path}/start", wanted)
    assert (held["state"], held["held_until"]) == ("scheduled", held["starts_at"])
    again = await service.made("POST", f"{path}/unschedule")
    assert (again["state"], again["held_until"], again["starts_at"]) == ("draft", None, None)
    assert problem(await service.ask("POST", f"{path}/start", {"hold": 86_400})) == "invalid-input"
    changed = await service.made("PUT", f"{path}?count=false", {**DRAFT, "title": "Other"})
    assert (changed["title"], changed["expected"]) == ("Other", {})
    await service.made("POST", f"{path}/start", {})
    assert problem(await service.ask("POST", f"{path}/unschedule")) == "wrong-state"


async def test_when_each_recipient_gets_it(service: Service) -> None:
    timing = {"local_at": "2030-01-31T18:00", "quiet_hours": "22:00-08:00", "no_zone": "Europe/Berlin"}
    seen = await service.made("POST", "/campaigns/preview", {**DRAFT, "timing": timing})
    (zone,) = seen["times"]["zones"]
    assert (zone["zone"], zone["recipients"], seen["times"]["without_zone"]) == ("", 40, 40)
    assert zone["first"] == datetime.fromisoformat("2030-01-31T18:00+01:00").timestamp()
    assert zone["quiet_at"] == zone["first"] + 4 * 3600
    made = await service.made("POST", "/campaigns", {**DRAFT, "timing": timing}, status=201)
    assert made["timing"] == timing
    path = f"/campaigns/{made['id']}"
    assert (await service.made("GET", path))["timing"] == timing
    changed = await service.made("PUT", path, {**DRAFT, "timing": {"local_at": "2030-01-31T18:00"}})
    assert changed["timing"] == {"local_at": "2030-01-31T18:00"}
    refused = await service.ask("POST", f"{path}/start", {})
    assert (problem(refused), refused.json()["errors"][0]["pointer"]) == ("invalid-input", "/timing/no_zone")
    plain = await service.made("PUT", path, DRAFT)
    assert plain["timing"] is None
    assert (await service.made("POST", "/campaigns/preview", DRAFT))["times"] is None
