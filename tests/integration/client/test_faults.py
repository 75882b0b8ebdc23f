"""What the client does about answers that are not good, or don't come: against a server that answers as it is told."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from stentor.client import ApiProblem, Client
from stentor.simulators.tls import make_server_tls

ME = {"id": "k", "name": "shop", "kind": "key", "scope": "admin"}
KEY = "stentor_live_0123456789secret"
Answer = web.StreamResponse | Callable[[web.Request], Awaitable[web.StreamResponse]]


class Script:
    """Answers requests one after the other, and remembers them."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.server: TestServer

    @property
    def url(self) -> str:
        return str(self.server.make_url(""))

    def client(self, **more: Any) -> Client:
        return Client(self.url, KEY, **more)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, web.StreamResponse):
            self.bodies.append(await request.read())
            return answer
        return await answer(request)


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    found = Script()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.handle)
    found.server = TestServer(app)
    async with found.server:
        yield found


def good(value: Any = None) -> web.Response:
    return web.json_response(ME if value is None else value)


def problem(status: int, slug: str, **headers: str) -> web.Response:
    told = {"type": f"/v1/problems/{slug}", "title": "T", "status": status, "detail": "because"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(
        status=status, body=json.dumps(told), headers={"Content-Type": "application/problem+json", **named}
    )


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def test_what_passes_is_asked_again_under_the_same_key(script: Script) -> None:
    script.answers = [
        problem(429, "too-many-requests", Retry_After="0"),
        problem(503, "unavailable", Retry_After="0"),
        web.Response(status=502, text="<h1>Bad Gateway</h1>"),
        problem(409, "in-progress", Retry_After="0"),
        hang_up,
        good({"targets": {}}),
    ]
    async with script.client() as client:
        assert (await client.reports.test(target="mail")).targets == {}
    assert len(script.requests) == 6
    keys = {each.headers["Idempotency-Key"] for each in script.requests}
    assert len(keys) == 1
    assert set(script.bodies) == {b'{"target":"mail"}'}
    script.answers = [good()]
    async with script.client() as client:
        await client.access.whoami()
    assert "Idempotency-Key" not in script.requests[-1].headers
    assert script.requests[-1].headers["Authorization"] == f"Bearer {KEY}"
    assert script.requests[-1].headers["User-Agent"].startswith("stentor-client/")


@pytest.mark.parametrize(
    "answer",
    [
        problem(409, "wrong-state"),
        problem(500, "internal-error"),
        problem(401, "unauthenticated"),
        problem(422, "invalid-input"),
        problem(404, "not-found"),
    ],
    ids=lambda each: str(each.status),
)
async def test_what_does_not_pass_is_not_asked_again(script: Script, answer: web.Response) -> None:
    script.answers = [web.Response(status=answer.status, body=answer.body, headers=answer.headers)]
    async with script.client() as client:
        with pytest.raises(ApiProblem, match="because") as told:
            await client.access.whoami()
    assert told.value.status == answer.status
    assert KEY not in str(told.value) + repr(told.value) + repr(told.value.__dict__)


async def test_patience_has_an_end(script: Script) -> None:
    script.answers = [problem(429, "too-many-requests", Retry_After="3600", X_Request_Id="r1")]
    async with script.client() as client:
        with pytest.raises(ApiProblem) as told:
            await client.access.whoami()
    assert (told.value.retry_after, told.value.request_id, len(script.requests)) == (3600, "r1", 1)
    script.answers = [problem(503, "unavailable") for _ in range(100)]
    async with script.client(patience=0.5) as client:
        with pytest.raises(ApiProblem, match="unavailable"):
            await client.access.whoami()
    assert 1 < len(script.requests) < 50


async def test_a_date_to_wait_for(script: Script) -> None:
    script.answers = [problem(503, "unavailable", Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"), good()]
    async with script.client() as client:
        assert (await client.access.whoami()).name == "shop"


async def test_a_redirect_is_not_followed_with_the_key(script: Script) -> None:
    script.answers = [web.Response(status=307, headers={"Location": script.url + "/elsewhere"})]
    async with script.client() as client:
        with pytest.raises(ApiProblem) as told:
            await client.access.whoami()
    assert (told.value.status, told.value.slug, len(script.requests)) == (307, "unreadable-answer", 1)


@pytest.mark.parametrize("body", [b"<h1>Welcome</h1>", b'{"id": 1}', b"\xff"])
async def test_an_answer_of_something_else_is_a_problem(script: Script, body: bytes) -> None:
    script.answers = [web.Response(body=body)]
    async with script.client() as client:
        with pytest.raises(ApiProblem) as told:
            await client.access.whoami()
    assert (told.value.status, told.value.slug) == (200, "unreadable-answer")
    assert told.value.__context__ is None


async def test_fields_of_a_newer_service_are_left_out(script: Script) -> None:
    script.answers = [good({**ME, "new": {"x": 1}})]
    async with script.client() as client:
        assert (await client.access.whoami()).name == "shop"


async def test_https_and_a_certificate_that_nobody_trusts(script: Script, tmp_path: Path) -> None:
    tls = make_server_tls(tmp_path / "tls", provider="api")
    trusted = ssl.create_default_context(cafile=str(tls.ca_file))
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(tls.chain_file)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.handle)
    script.answers = [good()]
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=serving)
    try:
        async with Client(str(server.make_url("")), KEY, tls=trusted) as client:
            assert (await client.access.whoami()).name == "shop"
        async with Client(str(server.make_url("")), KEY, patience=3600) as client:
            for work in (client.access.whoami(), anext(client.events()), anext(client.outcomes.export_failures("c"))):
                with pytest.raises(ApiProblem, match="certificate") as told:
                    await work
                assert told.value.slug == "no-answer"
    finally:
        await server.close()


async def test_silence_is_not_waited_for_for_ever(script: Script) -> None:
    over = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        await over.wait()
        return good()

    script.answers = [silent] * 100
    async with script.client(timeout=0.05, patience=0.2) as client:
        with pytest.raises(ApiProblem, match="in time") as told:
            await client.access.whoami()
    over.set()
    assert told.value.slug == "no-answer"


def recipient(number: int, detail: str = "") -> dict[str, Any]:
    return {
        "installation": f"i{number}{detail}",
        "lane": "apns/ios",
        "outcome": "accepted",
        "batch_id": "c/apns/ios/0.0.0",
        "position": number,
    }


def cut_off(pieces: list[bytes], *, packed: bool = True, ends: bool = False) -> Answer:
    """A list of which no more comes than this."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.headers["Accept-Encoding"] == "gzip"
        response = web.StreamResponse(headers={"Content-Encoding": "gzip"} if packed else {})
        response.content_type = "text/csv" if request.query["format"] == "csv" else "application/jsonl"
        response.enable_chunked_encoding()
        await response.prepare(request)
        for piece in pieces:
            await response.write(gzip.compress(piece) if packed else piece)
        if not ends:
            assert request.transport is not None
            request.transport.close()
        return response

    return answer


def lines(*numbers: int) -> bytes:
    return b"".join(json.dumps(recipient(each)).encode() + b"\n" for each in numbers)


async def test_rows_go_on_after_the_last_whole_one(script: Script) -> None:
    script.answers = [
        cut_off([lines(0, 1), lines(2)[:40]], packed=False),
        problem(503, "unavailable", Retry_After="0"),
        cut_off([lines(2, 3)], packed=False),
        cut_off([lines(4)], ends=True),
    ]
    async with script.client() as client:
        found = [each.position async for each in client.outcomes.export_recipients("c", lane="apns/ios")]
    assert found == [0, 1, 2, 3, 4]
    place = "c/apns/ios/0.0.0"
    asked = [each.query.get("after") for each in script.requests]
    assert asked == [None, f"{place}:1", f"{place}:1", f"{place}:3"]
    assert {(each.query["lane"], each.query["format"]) for each in script.requests} == {("apns/ios", "jsonl")}


async def test_a_file_has_each_row_and_the_names_once(script: Script) -> None:
    names = b"installation,lane,outcome,batch_id,position\r\n"

    def row(number: int) -> bytes:
        return b'"i\n%d",apns/ios,accepted,c/b,%d\r\n' % (number, number)

    script.answers = [
        cut_off([names + row(0), row(1)[:4]], packed=False),
        cut_off([names], packed=False),
        cut_off([names + row(1), row(2)], ends=True, packed=False),
    ]
    file = io.BytesIO()
    async with script.client() as client:
        await client.outcomes.save_recipients("c", file)
    assert file.getvalue() == names + row(0) + row(1) + row(2)
    assert [each.query.get("after") for each in script.requests] == [None, "c/b:0", "c/b:0"]


def events(*told: bytes, ends: bool = False) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.headers["Accept"] == "text/event-stream"
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for each in told:
            await response.write(each)
        return response

    return answer


async def test_events_are_followed_over_reconnects_to_the_end(script: Script) -> None:
    state = b'{"campaign":"c","title":"t","before":null,"state":"running","problem":null}'
    script.answers = [
        events(b"retry: 1\n\n", b": still here\n\n", b"event: state\nid: 7\ndata: " + state + b"\n\n", b"event: sta"),
        problem(503, "unavailable", Retry_After="0"),
        hang_up,
        events(
            b"event: from_tomorrow\nid: 8\ndata: {}\n\n", b'event: end\nid: 9\ndata: {"campaign":"c","state":"x"}\n\n'
        ),
    ]
    async with script.client() as client:
        found = [(each.kind, each.id) async for each in client.events("c")]
    assert found == [("state", "7"), ("end", "9")]
    assert [each.headers.get("Last-Event-ID") for each in script.requests] == [None, "7", "7", "7"]


async def test_a_stream_of_something_else_is_a_problem(script: Script) -> None:
    page = web.Response(text="<h1>Welcome</h1>", content_type="text/html")
    file = io.BytesIO()
    async with script.client() as client:
        for answers in ([page], [cut_off([b'{"new": 1}\n'], ends=True)]):
            script.answers = list(answers)
            with pytest.raises(ApiProblem, match="unreadable-answer"):
                await anext(client.outcomes.export_recipients("c"))
        script.answers = [web.Response(text="<h1>Welcome</h1>", content_type="text/html")]
        with pytest.raises(ApiProblem, match="unreadable-answer"):
            await client.outcomes.save_recipients("c", file)
        script.answers = [web.Response(text="<h1>Welcome</h1>", content_type="text/html")]
        with pytest.raises(ApiProblem, match="unreadable-answer"):
            await anext(client.events())
        script.answers = [events(b"event: state\nid: 1\ndata: {}\n\n")]
        with pytest.raises(ApiProblem, match="unreadable-answer"):
            await anext(client.events())
    assert file.getvalue() == b""


async def test_rows_are_taken_no_faster_than_they_are_sent(script: Script) -> None:
    taken = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for number in range(1_000_000):
            taken += 1
            yield {"id": str(number), "note": "x" * 200}

    async def slow(request: web.Request) -> web.StreamResponse:
        assert request.headers["Content-Type"] == "application/jsonl"
        before = -1
        while before != taken:  # until nothing more goes into any buffer
            before = taken
            await asyncio.sleep(0.2)
        return problem(413, "too-large")

    script.answers = [slow]
    async with script.client() as client:
        with pytest.raises(ApiProblem, match="because"):
            await client.installations.upsert_many(rows())
    assert 0 < taken < 500_000


async def test_a_body_that_streams_is_sent_once_if_it_can_be_had_once(script: Script) -> None:
    async def some(request: web.Request) -> web.StreamResponse:
        await request.content.readany()
        return await hang_up(request)

    for rows, tries in (([{"id": "1"}], 2), (iter([{"id": "1"}]), 1)):
        script.requests.clear()
        script.answers = [good(), some, problem(422, "invalid-input")]
        async with script.client() as client:
            await client.access.whoami()  # so that the next request goes over a connection that was used before
            with pytest.raises(ApiProblem):
                await client.installations.upsert_many(rows)
        assert len(script.requests) == 1 + tries
        script.bodies.clear()
