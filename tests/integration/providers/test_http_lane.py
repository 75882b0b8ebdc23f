"""The HTTP lane that chats and webhooks derive from, over real TLS: who gets what, what is certain, what ends it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from stentor.answer_times import figures
from stentor.errors import CredentialError, CredentialUnavailable, InvalidConfiguration, InvalidMessage, PoolClosed
from stentor.http2 import policy
from stentor.model import Action, Message
from stentor.outcome import Scope, Verdict
from stentor.planning.content import Content
from stentor.providers import http_lane
from stentor.providers.contract import LARGEST_ERROR_BODY, Answer, Rule, Taken
from stentor.providers.http_flight import HttpFlight
from stentor.providers.http_lane import ForbiddenHost, HttpLane
from stentor.providers.http_message import Request, Response
from stentor.providers.lane import CampaignContent, Flight
from stentor.providers.payload import PayloadTooLarge
from stentor.providers.rendering import PreparedContent
from stentor.providers.webhook import lane as webhook_lane
from stentor.providers.webhook.lane import PublicResolver
from stentor.settings import App
from stentor.simulators.tls import ServerTls, make_server_tls
from stentor.testing.blackhole import BlackHole
from stentor.testing.proxy import Proxy
from tests.integration.addresses import HERE, HERE_TOO, Lead, leads
from tests.integration.http2.test_pool import Serve, forever, server, tunnel

__all__ = ["leads"]

PLAIN = Content(message=Message(title="Sale"))
PERSONAL = Content(message=Message(title="Hello {{ name }}"))
TABLE = (Rule(410, "Gone", Verdict.DROP, Scope.ADDRESS, "Nobody is there any more."),)
LONGEST = 20

Handler = Callable[[web.BaseRequest], Any]


class Double(HttpLane[bytes, str]):
    """A provider as simple as can be: `POST /address`, the token in a header, the title as the body."""

    def __init__(self, app: App, token_file: Path, host: str) -> None:
        super().__init__(app, "main", TABLE, lambda: 7.0, app.rate)
        self.token_file = token_file
        self.host = host
        self.busy: set[bytes] = set()
        """Addresses whose turn it isn't."""
        self.resolves: AbstractResolver | None = None

    @property
    def files(self) -> Sequence[Path | None]:
        return (self.token_file,)

    def load(self) -> str:
        try:
            return self.token_file.read_text()
        except OSError as error:
            raise CredentialError(f"{self.token_file.name} cannot be read: {error.strerror}") from None

    def render(self, message: Message, campaign: CampaignContent) -> bytes:
        title = (message.title or "").encode()
        if len(title) > LONGEST:
            raise PayloadTooLarge("title", "is too long")
        if b"<" in title:
            raise InvalidMessage("title", "has a <")
        return title

    def collapses(self, rendered: bytes) -> bool:
        return b"once" not in rendered

    def payload(self, rendered: bytes) -> bytes:
        return rendered

    def turn(self, address: bytes, now: float) -> float:
        return 2.5 if address in self.busy else 0.0

    def resolver(self) -> AbstractResolver | None:
        return self.resolves

    def request(
        self, credentials: str, prepared: PreparedContent[bytes], rendered: bytes, recipient: bytes, address: bytes
    ) -> Request | Answer:
        if address == b"?":
            return Answer(verdict=Verdict.REJECT, reason="MalformedAddress")
        url = f"{self._app.url or f'https://{self.host}'}/{address.decode()}"
        return Request(method="POST", url=url, body=rendered, headers={"token": credentials, "who": recipient.decode()})

    def decode(self, response: Response, address: bytes, now: float) -> Taken | Answer:
        status = response.status
        if status == 200:
            return Taken(at=now, id=response.body.decode("latin-1")[:10])
        if status == 299:
            raise RuntimeError("a bug")
        if "moved-to" in response.headers:
            return Answer(verdict=Verdict.REROUTE, reason="Moved", moved_to=response.headers["moved-to"], status=status)
        verdict = Verdict.DROP if status == 410 else Verdict.REJECT
        return Answer(verdict=verdict, reason=f"Status{status}", status=status, detail=str(len(response.body)))


@dataclass
class Stand:
    """A server, and what it was asked."""

    port: int
    tls: ServerTls
    folder: Path
    seen: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    """Path, token, recipient and body of each request."""

    def lane(self, *, kind: type[Double] = Double, **settings: Any) -> Double:
        token = self.folder / "token"
        token.write_text("t1")
        given = {"url": f"https://localhost:{self.port}", "ca_file": self.tls.ca_file, "max_connections": 4}
        app = App(channel="double", **{**given, **settings})
        return kind(app, token, "localhost")


@pytest.fixture
def tls(tmp_path: Path) -> ServerTls:
    return make_server_tls(tmp_path, provider="double", alpn=("http/1.1",))


@asynccontextmanager
async def standing(tls: ServerTls, folder: Path, handler: Handler) -> AsyncIterator[Stand]:
    stand = Stand(0, tls, folder)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        stand.seen.append((request.path, request.headers["token"], request.headers["who"], body))
        answer: web.StreamResponse = await handler(request)
        return answer

    runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=0.01)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.context)
        await site.start()
        stand.port = runner.addresses[0][1]
        yield stand
    finally:
        await runner.cleanup()


@asynccontextmanager
async def broken(tls: ServerTls, folder: Path, serve: Serve) -> AsyncIterator[Stand]:
    """A server that does to each connection what `serve` does."""
    async with server(serve, tls.context) as port:
        yield Stand(port, tls, folder)


@asynccontextmanager
async def opened(lane: Double) -> AsyncIterator[Double]:
    try:
        yield lane
    finally:
        await lane.aclose(0.0)


def campaign(content: Content) -> CampaignContent:
    return CampaignContent(id="c1", content=content, started_at=0.0, collapse_id="c1")


async def begin(
    lane: Double,
    addresses: Sequence[bytes],
    content: Content = PLAIN,
    variables: Sequence[Mapping[str, Any]] | None = None,
) -> HttpFlight[bytes]:
    prepared = await lane.prepare(campaign(content))
    return await lane.begin(prepared, [b"u-" + each for each in addresses], addresses, None, variables)


async def send(lane: Double, addresses: Sequence[bytes], *more: Any) -> HttpFlight[bytes]:
    flight = await begin(lane, addresses, *more)
    await flight.done()
    return flight


def verdicts(flight: Flight) -> dict[int, tuple[Verdict, str]]:
    return {index: (answer.verdict, answer.reason) for index, answer in flight.answers(0.0).items()}


def names(count: int) -> list[bytes]:
    return [b"a%d" % number for number in range(count)]


async def take(request: web.BaseRequest) -> web.Response:
    return web.Response(text=f"id-{request.path[1:]}")


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The request is read, and the connection cut."""
    await reader.readuntil(b"\r\n\r\n")


def answering(*pieces: bytes, then_hang: bool = False) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if then_hang:
            await forever(reader, writer)

    return serve


# -- who gets what ----------------------------------------------------------------------------------------------------


async def test_who_is_taken_and_who_is_refused(tls: ServerTls, tmp_path: Path) -> None:
    async def some(request: web.BaseRequest) -> web.Response:
        return web.Response(status=410) if request.path == "/a1" else await take(request)

    async with standing(tls, tmp_path, some) as stand, opened(stand.lane()) as lane:
        await lane.check()
        assert (lane.name, lane.window(), lane.state.connections) == ("double/main", 4, 0)
        flight = await send(lane, [b"a0", b"a1", b"?", b"a3", b""])
        assert flight.accepted() == b"\x01\0\0\x01\0"
        assert verdicts(flight) == {
            1: (Verdict.DROP, "Status410"),
            2: (Verdict.REJECT, "MalformedAddress"),
            4: (Verdict.REJECT, "NoAddress"),
        }
        assert flight.receipts() == {0: Taken(at=7.0, id="id-a0"), 3: Taken(at=7.0, id="id-a3")}
        assert sorted(stand.seen) == [(f"/{a}", "t1", f"u-{a}", b"Sale") for a in ("a0", "a1", "a3")]
        assert "a0" not in repr(flight) + repr(lane)
        assert lane.meaning("Gone") == "Nobody is there any more."
        assert lane.meaning("New") == ""
        assert not (await lane.refused(flight)).renewed


async def test_answers_are_timed_and_silence_is_not(tls: ServerTls, tmp_path: Path) -> None:
    async def slowly(request: web.BaseRequest) -> web.Response:
        await asyncio.sleep(0.2)
        return web.Response(status=410) if request.path == "/a1" else await take(request)

    async with standing(tls, tmp_path, slowly) as stand, opened(stand.lane()) as lane:
        await send(lane, [b"a0", b"a1", b"?"])
        found = figures({band: many for band, many in enumerate(lane.answer_times.counts) if many})
        assert found is not None
        assert found.timed == 2, "a refusal is an answer; what isn't asked has none"
        assert found.median >= 0.19
    async with broken(tls, tmp_path, reset) as stand, opened(stand.lane()) as lane:
        await send(lane, [b"a0"])
        assert sum(lane.answer_times.counts) == 0


async def test_nobody_to_send_to(tls: ServerTls, tmp_path: Path) -> None:
    async with standing(tls, tmp_path, take) as stand, opened(stand.lane()) as lane:
        flight = await send(lane, [])
        assert (flight.accepted(), flight.answers(0.0), lane.backlog()) == (b"", {}, 0)


async def test_personal_messages_are_rendered_once_each(tls: ServerTls, tmp_path: Path) -> None:
    async with standing(tls, tmp_path, take) as stand, opened(stand.lane()) as lane:
        variables = [{"name": "Ada"}, {"name": "Bob"}, {"name": "Ada"}, {}, {"name": "x" * 30}, {"name": "<"}]
        flight = await send(lane, names(6), PERSONAL, variables)
        assert {who: body for _, _, who, body in stand.seen} == {
            "u-a0": b"Hello Ada",
            "u-a1": b"Hello Bob",
            "u-a2": b"Hello Ada",
        }
        assert verdicts(flight) == {
            3: (Verdict.REJECT, "TemplateError"),
            4: (Verdict.REJECT, "PayloadTooLarge"),
            5: (Verdict.REJECT, "InvalidMessage"),
        }
        assert len(flight.prepared.cache) == 5


async def test_content_is_checked_before_anything_is_sent(tls: ServerTls, tmp_path: Path) -> None:
    async with standing(tls, tmp_path, take) as stand, opened(stand.lane()) as lane:
        with pytest.raises(InvalidMessage, match="too long"):
            await lane.prepare(campaign(Content(message=Message(title="x" * 30))))
        prepared = await lane.prepare(campaign(PLAIN))
        assert (prepared.sample, prepared.collapses) == (b"Sale", True)
        assert not (await lane.prepare(campaign(Content(message=Message(title="once"))))).collapses
        assert stand.seen == []


# -- how many at once -------------------------------------------------------------------------------------------------


async def test_no_more_requests_than_connections_and_no_task_a_recipient(tls: ServerTls, tmp_path: Path) -> None:
    running = most = 0
    full, free = asyncio.Event(), asyncio.Event()

    async def slow(request: web.BaseRequest) -> web.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            full.set()
        await free.wait()
        running -= 1
        return await take(request)

    async with standing(tls, tmp_path, slow) as stand, opened(stand.lane(max_connections=3)) as lane:
        first = await begin(lane, names(30))
        second = await begin(lane, [b"b%d" % number for number in range(20)])
        await full.wait()
        carriers = [task for task in asyncio.all_tasks() if task.get_name() == "carry double/main"]
        assert (len(carriers), lane.state.open_streams) == (3, 3)
        assert lane.backlog() == first.unsent + second.unsent == 47
        free.set()
        await asyncio.gather(first.done(), second.done())
        assert (first.accepted(), second.accepted()) == (b"\x01" * 30, b"\x01" * 20)
        assert most == 3


async def test_what_is_urgent_is_taken_before_all_that_waits(tls: ServerTls, tmp_path: Path) -> None:
    async with standing(tls, tmp_path, take) as stand, opened(stand.lane(max_connections=1)) as lane:
        urgent = await lane.prepare(replace(campaign(PLAIN), is_urgent=True))
        others = [await begin(lane, names(10)), await begin(lane, names(10))]
        first = await lane.begin(urgent, [b"m1"], [b"m1"])
        second = await lane.begin(urgent, [b"m2"], [b"m2"])
        await asyncio.gather(*(flight.done() for flight in (*others, first, second)))
        assert [who for _, _, who, _ in stand.seen][:3] in (["m1", "m2", "u-a0"], ["u-a0", "m1", "m2"])
        assert len(stand.seen) == 22


async def test_one_connection_serves_flight_after_flight(tls: ServerTls, tmp_path: Path) -> None:
    """Each begins while the carrier of the one before has just looked for more and found nothing."""
    async with standing(tls, tmp_path, take) as stand, opened(stand.lane(max_connections=1)) as lane:
        prepared = await lane.prepare(campaign(PLAIN))
        for number in range(20):
            flight = await lane.begin(prepared, [b"u"], [b"a%d" % number])
            await flight.done()
            assert flight.accepted() == b"\x01"


async def test_who_must_wait_for_a_turn_is_not_asked_about(tls: ServerTls, tmp_path: Path) -> None:
    async with standing(tls, tmp_path, take) as stand, opened(stand.lane()) as lane:
        lane.busy = {b"a1"}
        flight = await send(lane, names(3))
        answer = flight.answers(0.0)[1]
        assert (answer.verdict, answer.reason, answer.retry_after) == (Verdict.WAIT, "Pace", 2.5)
        assert {path for path, *_ in stand.seen} == {"/a0", "/a2"}


# -- what was sent before --------------------------------------------------------------------------------------------


class Changing(Double):
    """It edits and deletes by receipt, and asks where each address is first."""

    by_receipt = True

    async def locate(self, address: bytes) -> bytes | Answer:
        if address == b"a2":
            return Answer(verdict=Verdict.REJECT, reason="Nowhere")
        url = f"{self._app.url}/where/{address.decode()}"
        found = await self.ask(Request(method="GET", url=url, body=b"", headers={"token": "", "who": ""}))
        return found.body

    def unanswered(self, address: bytes, answer: Answer) -> Answer:
        return Answer(verdict=Verdict.RETRY, reason=f"Unanswered:{address.decode()}")

    def unchanged(self, receipt: str, action: Action, answer: Answer) -> Answer:
        return Answer(verdict=Verdict.RETRY, reason=f"Unchanged:{receipt}:{action}")

    def change(self, credentials: str, rendered: bytes | None, receipt: str) -> Request | Answer:
        if receipt == "none":
            return Answer(verdict=Verdict.REJECT, reason="NoSuchReceipt")
        method, body = ("DELETE", b"") if rendered is None else ("PATCH", rendered)
        headers = {"token": credentials, "who": ""}
        return Request(method=method, url=f"{self._app.url}/{receipt}", body=body, headers=headers)

    def decode_change(self, response: Response, receipt: str, action: Action, now: float) -> Taken | Answer:
        return self.decode(response, receipt.encode(), now)


async def methods(request: web.BaseRequest) -> web.Response:
    if request.path.startswith("/where/"):
        return web.Response(text="b" + request.path.removeprefix("/where/a"))
    return web.Response(status=410) if request.path == "/gone" else web.Response(text=request.method)


@pytest.mark.parametrize(("action", "method", "body"), [(Action.UNDO, "DELETE", b""), (Action.EDIT, "PATCH", b"Sale")])
async def test_messages_are_changed_by_receipt(
    tls: ServerTls, tmp_path: Path, action: Action, method: str, body: bytes
) -> None:
    async with standing(tls, tmp_path, methods) as stand, opened(stand.lane(kind=Changing)) as lane:
        lane.busy = {b"m1"}  # its pace is for messages
        content = Content(message=PLAIN.message, action=action)
        flight = await send(lane, [b"m1", b"gone", b"none", b""], content)
        assert flight.prepared.collapses
        assert flight.receipts()[0].id == method
        assert verdicts(flight) == {
            1: (Verdict.DROP, "Status410"),
            2: (Verdict.REJECT, "NoSuchReceipt"),
            3: (Verdict.REJECT, "NoAddress"),
        }
        assert sorted((path, sent) for path, _, _, sent in stand.seen) == [("/gone", body), ("/m1", body)]


async def test_an_address_is_located_first(tls: ServerTls, tmp_path: Path) -> None:
    async with standing(tls, tmp_path, methods) as stand, opened(stand.lane(kind=Changing)) as lane:
        flight = await send(lane, names(3))
        assert flight.accepted() == b"\x01\x01\0"
        assert verdicts(flight) == {2: (Verdict.REJECT, "Nowhere")}
        assert sorted(path for path, *_ in stand.seen) == ["/b0", "/b1", "/where/a0", "/where/a1"]


async def test_addresses_are_still_located_while_it_closes(tls: ServerTls, tmp_path: Path) -> None:
    hold = Hold(4)

    async def held(request: web.BaseRequest) -> web.Response:
        await hold(request)
        return await methods(request)

    async with standing(tls, tmp_path, held) as stand:
        lane = stand.lane(kind=Changing)
        flight = await begin(lane, [b"a0", b"a1", b"a3", b"a4", b"a5", b"a6"])
        await hold.full.wait()
        closing = asyncio.create_task(lane.aclose(20.0))
        await asyncio.sleep(0)
        hold.free.set()
        await closing
        assert flight.accepted() == b"\x01" * 6
        with pytest.raises(PoolClosed):
            await lane.ask(Request(method="GET", url=f"https://localhost:{stand.port}/", body=b""))


class Known(Changing):
    async def locate(self, address: bytes) -> bytes | Answer:
        return address


@pytest.mark.parametrize(
    ("action", "reason"),
    [(Action.SEND, "Unanswered:m1"), (Action.EDIT, "Unchanged:m1:edit"), (Action.UNDO, "Unchanged:m1:undo")],
)
async def test_a_provider_says_what_it_means_that_no_answer_came(
    tls: ServerTls, tmp_path: Path, action: Action, reason: str
) -> None:
    content = Content(message=PLAIN.message, action=action)
    async with broken(tls, tmp_path, reset) as stand, opened(stand.lane(kind=Known)) as lane:
        assert verdicts(await send(lane, [b"m1"], content)) == {0: (Verdict.RETRY, reason)}
    hold = Hold(1)
    async with standing(tls, tmp_path, hold) as stand:
        lane = stand.lane(kind=Known)
        flight = await begin(lane, [b"m1"], content)
        await hold.full.wait()
        await lane.aclose(0.0)
        assert verdicts(flight) == {0: (Verdict.RETRY, reason)}


# -- moving -----------------------------------------------------------------------------------------------------------


async def test_who_moved_is_followed_once(tls: ServerTls, tmp_path: Path) -> None:
    async def moving(request: web.BaseRequest) -> web.Response:
        where = {"/a0": "b0", "/a1": "b1", "/b1": "c1", "/a2": "b2"}.get(request.path)
        if where:
            return web.Response(status=400, headers={"Moved-To": where})
        return web.Response(status=410) if request.path == "/b2" else await take(request)

    async with standing(tls, tmp_path, moving) as stand, opened(stand.lane()) as lane:
        flight = await send(lane, names(4))
        assert flight.receipts()[0] == Taken(at=7.0, id="id-b0", moved_to="b0")
        assert verdicts(flight) == {1: (Verdict.REJECT, "MovedTwice"), 2: (Verdict.DROP, "Status410")}
        assert {path for path, *_ in stand.seen} == {"/a0", "/b0", "/a1", "/b1", "/a2", "/b2", "/a3"}


async def test_redirects_are_not_followed(tls: ServerTls, tmp_path: Path) -> None:
    async def redirecting(request: web.BaseRequest) -> web.Response:
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with standing(tls, tmp_path, redirecting) as stand, opened(stand.lane()) as lane:
        flight = await send(lane, [b"a0"])
        assert verdicts(flight) == {0: (Verdict.REJECT, "Status307")}
        assert [path for path, *_ in stand.seen] == ["/a0"]


# -- what fails -------------------------------------------------------------------------------------------------------


async def test_a_refused_connection_is_certainly_not_processed(tls: ServerTls, tmp_path: Path) -> None:
    with socket.socket() as held:  # bound, and nobody listens
        held.bind(("127.0.0.1", 0))
        stand = Stand(held.getsockname()[1], tls, tmp_path)
        async with opened(stand.lane()) as lane:
            flight = await send(lane, names(2))
            assert set(verdicts(flight).values()) == {(Verdict.RECONNECT, "NotProcessed")}
            assert f"localhost:{stand.port}" in (lane.state.last_error or "")
            with pytest.raises(CredentialUnavailable, match="no connection"):
                await lane.ask(Request(method="GET", url=f"https://localhost:{stand.port}/secret", body=b""))


async def test_a_certificate_that_is_not_trusted_is_said(tls: ServerTls, tmp_path: Path) -> None:
    async with standing(tls, tmp_path, take) as stand, opened(stand.lane(ca_file=None)) as lane:
        flight = await send(lane, [b"a0"])
        answer = flight.answers(0.0)[0]
        assert (answer.verdict, answer.reason) == (Verdict.RECONNECT, "NotProcessed")
        assert "not trusted" in answer.detail
        assert stand.seen == []


@pytest.mark.parametrize(
    ("serve", "said"),
    [
        (reset, "closed before the answer"),
        (answering(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"), "ClientPayloadError"),
        (answering(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n"), "Error"),
        (answering(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", b"ZZ\r\n"), "Error"),
        (answering(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "Error"),
        (answering(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"), "Error"),
    ],
    ids=["closed", "cut off", "broken chunks", "a broken chunk", "another protocol", "no gzip"],
)
async def test_what_was_written_and_not_answered_is_ambiguous(
    tls: ServerTls, tmp_path: Path, serve: Serve, said: str
) -> None:
    async with broken(tls, tmp_path, serve) as stand, opened(stand.lane()) as lane:
        flight = await send(lane, names(2))
        assert set(verdicts(flight).values()) == {(Verdict.AMBIGUOUS, "NoAnswer")}
        assert said in flight.answers(0.0)[0].detail
        assert lane.state.last_error == flight.answers(0.0)[1].detail


@pytest.mark.parametrize(
    "serve",
    [forever, answering(b"HTTP/1.1 200 OK\r\n\r\n", then_hang=True)],
    ids=["no answer", "no end of the answer"],
)
async def test_an_answer_that_takes_too_long_is_ambiguous(
    tls: ServerTls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    monkeypatch.setattr(http_lane, "ANSWER_WITHIN", 3.0)
    async with broken(tls, tmp_path, serve) as stand, opened(stand.lane()) as lane:
        flight = await send(lane, names(2))
        assert set(verdicts(flight).values()) == {(Verdict.AMBIGUOUS, "NoAnswer")}
        assert lane.state.last_error == "no answer in time"


async def test_endless_and_compressed_bodies_are_cut_off(tls: ServerTls, tmp_path: Path) -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/a1":
            bomb = gzip.compress(bytes(50_000_000))
            return web.Response(status=418, body=bomb, headers={"content-encoding": "gzip"})
        response = web.StreamResponse(status=418)
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(bytes(65_536))
        return response

    async with standing(tls, tmp_path, endless) as stand, opened(stand.lane()) as lane:
        flight = await send(lane, names(2))
        assert {(each.reason, each.detail) for each in flight.answers(0.0).values()} == {
            ("Status418", str(LARGEST_ERROR_BODY))
        }


async def test_a_bug_ends_its_flight_and_no_other(tls: ServerTls, tmp_path: Path) -> None:
    async def some(request: web.BaseRequest) -> web.Response:
        return web.Response(status=299) if request.path == "/bad" else await take(request)

    async with standing(tls, tmp_path, some) as stand, opened(stand.lane(max_connections=1)) as lane:
        failing = await begin(lane, [b"bad", *names(5)])
        other = await begin(lane, names(5))
        with pytest.raises(RuntimeError, match="a bug"):
            await failing.done()
        await other.done()
        assert other.accepted() == b"\x01" * 5
        assert len(stand.seen) == 6, "nobody else of the failing one is sent to"
        assert (await send(lane, names(3))).accepted() == b"\x01" * 3


class Private(AbstractResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        raise ForbiddenHost("it leads into a private network")

    async def close(self) -> None: ...


async def test_a_host_that_the_resolver_forbids_rejects_its_recipient(tls: ServerTls, tmp_path: Path) -> None:
    async with standing(tls, tmp_path, take) as stand, opened(stand.lane()) as lane:
        lane.resolves = Private()
        flight = await send(lane, [b"a0"])
        answer = flight.answers(0.0)[0]
        assert (answer.verdict, answer.reason) == (Verdict.REJECT, "ForbiddenHost")
        assert answer.detail == "it leads into a private network"
        assert stand.seen == []


# -- hosts with several addresses, and connections that were idle ---------------------------------------------------


@pytest.mark.parametrize("judged", [False, True])
async def test_an_address_that_swallows_packets_keeps_nobody_from_the_next(
    tls: ServerTls, tmp_path: Path, leads: Lead, monkeypatch: pytest.MonkeyPatch, judged: bool
) -> None:
    monkeypatch.setattr(webhook_lane, "is_public", lambda _: True)
    async with standing(tls, tmp_path, take) as stand, opened(stand.lane()) as lane:
        lane.resolves = PublicResolver() if judged else None
        leads(localhost=[HERE_TOO, HERE])
        with BlackHole(HERE_TOO, stand.port):
            assert (await send(lane, names(3))).accepted() == b"\x01" * 3


async def test_a_proxy_whose_first_address_swallows_packets(tls: ServerTls, tmp_path: Path, leads: Lead) -> None:
    heads: list[bytes] = []
    async with (
        standing(tls, tmp_path, take) as stand,
        server(lambda reader, writer: tunnel(reader, writer, heads), None) as port,
        opened(stand.lane(proxy=f"http://proxy.example:{port}", max_connections=1)) as lane,
    ):
        leads(**{"proxy.example": [HERE_TOO, HERE]})
        with BlackHole(HERE_TOO, port):
            assert (await send(lane, names(3))).accepted() == b"\x01" * 3
    assert len(heads) == 1


async def test_a_connection_that_was_idle_is_not_used_again(
    tls: ServerTls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A NAT on the way may have forgotten it: what is written on it would be ambiguous."""
    monkeypatch.setattr(http_lane, "KEEP_ALIVE", 0.2)
    async with standing(tls, tmp_path, take) as stand, Proxy("127.0.0.1", stand.port) as network:
        through = stand.lane(url=f"https://localhost:{network.port}", max_connections=1)
        async with opened(through) as lane:
            assert (await send(lane, names(3))).accepted() == b"\x01" * 3
            network.forget()
            await asyncio.sleep(0.3)
            assert (await send(lane, names(3))).accepted() == b"\x01" * 3
        await network.cut()


async def test_a_machine_that_slept_uses_no_connection_again(
    tls: ServerTls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of idle connections stands still while the machine sleeps, and the network forgets."""
    slept = [0.0]
    monkeypatch.setattr(policy.Sleep, "_total", staticmethod(lambda: slept[0]))
    monkeypatch.setattr(http_lane, "ANSWER_WITHIN", 5.0)
    monkeypatch.setattr(http_lane, "KEEP_ALIVE", 3600.0)
    async with standing(tls, tmp_path, take) as stand, Proxy("127.0.0.1", stand.port) as network:
        through = stand.lane(url=f"https://localhost:{network.port}", max_connections=1)
        async with opened(through) as lane:
            for _ in range(2):
                assert (await send(lane, names(3))).accepted() == b"\x01" * 3
                network.forget()
                slept[0] += 60.0
            headers = {"token": "t1", "who": "us"}
            asked = Request(method="GET", url=f"https://localhost:{network.port}/", body=b"", headers=headers)
            assert (await lane.ask(asked)).status == 200
        await network.cut()


# -- the end of it ----------------------------------------------------------------------------------------------------


@dataclass
class Hold:
    """A handler that answers nobody until it is told to."""

    wanted: int
    full: asyncio.Event = field(default_factory=asyncio.Event)
    free: asyncio.Event = field(default_factory=asyncio.Event)
    came: int = 0

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        self.came += 1
        if self.came == self.wanted:
            self.full.set()
        await self.free.wait()
        return await take(request)


async def test_withdrawing_midway(tls: ServerTls, tmp_path: Path) -> None:
    hold = Hold(4)
    async with standing(tls, tmp_path, hold) as stand, opened(stand.lane()) as lane:
        flight = await begin(lane, names(10))
        await hold.full.wait()
        flight.withdraw("paused")
        assert verdicts(flight) == dict.fromkeys(range(4, 10), (Verdict.RECONNECT, "NotProcessed"))
        assert (flight.unsent, lane.backlog()) == (0, 0)
        hold.free.set()
        await flight.done()
        assert flight.accepted() == b"\x01" * 4 + bytes(6)


async def test_whoever_waits_no_longer_withdraws(tls: ServerTls, tmp_path: Path) -> None:
    hold = Hold(4)
    async with standing(tls, tmp_path, hold) as stand, opened(stand.lane()) as lane:
        flight = await begin(lane, names(10))
        await hold.full.wait()
        waiter = asyncio.create_task(flight.done())
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        assert flight.unsent == 0
        hold.free.set()


async def test_closing_lets_those_under_way_finish(tls: ServerTls, tmp_path: Path) -> None:
    hold = Hold(4)
    async with standing(tls, tmp_path, hold) as stand:
        lane = stand.lane()
        flight = await begin(lane, names(10))
        await hold.full.wait()
        closing = asyncio.create_task(lane.aclose(20.0))
        await asyncio.sleep(0)
        with pytest.raises(PoolClosed):
            await begin(lane, names(1))
        assert not await lane.reload()
        hold.free.set()
        await closing
        await flight.done()
        assert flight.accepted() == b"\x01" * 10
        assert lane.state.connections == 0
        await lane.aclose()


@pytest.mark.parametrize("drain", [0.0, 0.05])
async def test_closing_before_the_answers_came(tls: ServerTls, tmp_path: Path, drain: float) -> None:
    hold = Hold(4)
    async with standing(tls, tmp_path, hold) as stand:
        lane = stand.lane()
        flight = await begin(lane, names(10))
        await hold.full.wait()
        await lane.aclose(drain)
        await flight.done()
        found = verdicts(flight)
        assert {found[index] for index in range(4)} == {(Verdict.AMBIGUOUS, "NoAnswer")}
        assert {found[index] for index in range(4, 10)} == {(Verdict.RECONNECT, "NotProcessed")}
        assert "lane was closed" in flight.answers(0.0)[0].detail


async def test_closing_while_the_files_are_read(tls: ServerTls, tmp_path: Path) -> None:
    async with standing(tls, tmp_path, take) as stand:
        lane = stand.lane()
        beginning = asyncio.create_task(begin(lane, names(1)))
        await asyncio.sleep(0)
        await lane.aclose()
        with pytest.raises(PoolClosed):
            await beginning
        assert stand.seen == []


# -- files that change ------------------------------------------------------------------------------------------------


async def test_files_that_change_are_taken_up_midway(tls: ServerTls, tmp_path: Path) -> None:
    hold = Hold(2)
    async with standing(tls, tmp_path, hold) as stand, opened(stand.lane(max_connections=2)) as lane:
        assert await lane.reload(), "read for the first time"
        assert not await lane.reload()
        flight = await begin(lane, names(6))
        await hold.full.wait()
        lane.token_file.write_text("t2")
        assert await lane.reload()
        hold.free.set()
        await flight.done()
        assert flight.accepted() == b"\x01" * 6
        assert [token for _, token, *_ in stand.seen] == ["t1", "t1", "t2", "t2", "t2", "t2"]


async def test_files_that_cannot_be_read_leave_the_old_ones_in_use(tls: ServerTls, tmp_path: Path) -> None:
    async with standing(tls, tmp_path, take) as stand, opened(stand.lane()) as lane:
        await lane.check()
        lane.token_file.unlink()
        with pytest.raises(CredentialError, match="token cannot be read"):
            await lane.reload()
        assert (await send(lane, names(2))).accepted() == b"\x01\x01"


async def test_a_lane_without_its_files_sends_nothing(tls: ServerTls, tmp_path: Path) -> None:
    async with standing(tls, tmp_path, take) as stand:
        lane = stand.lane()
        lane.token_file.unlink()
        for attempt in (lane.check(), begin(lane, names(1))):
            with pytest.raises(CredentialError, match="token cannot be read"):
                await attempt
        await lane.aclose()
        lane = stand.lane(ca_file=stand.lane().token_file)
        with pytest.raises(InvalidConfiguration, match=r"apps\.main\.ca_file: .*not a PEM file"):
            await lane.check()
        await lane.aclose()
        assert stand.seen == []


# -- a proxy ----------------------------------------------------------------------------------------------------------


async def test_through_a_proxy(tls: ServerTls, tmp_path: Path) -> None:
    heads: list[bytes] = []
    async with (
        standing(tls, tmp_path, take) as stand,
        server(lambda reader, writer: tunnel(reader, writer, heads), None) as port,
        opened(stand.lane(proxy=f"http://herald:p%40ss@localhost:{port}", max_connections=1)) as lane,
    ):
        lane.resolves = Private()  # a proxy finds hosts itself, and may be a private one
        assert (await send(lane, names(3))).accepted() == b"\x01" * 3
        assert heads[0].startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % stand.port)
        assert b"Proxy-Authorization: Basic aGVyYWxkOnBAc3M=\r\n" in heads[0]
        assert len(heads) == 1


async def test_a_proxy_that_refuses_has_passed_nothing_on(tls: ServerTls, tmp_path: Path) -> None:
    refuse = answering(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
    async with (
        server(refuse, None) as port,
        opened(Stand(1, tls, tmp_path).lane(proxy=f"http://127.0.0.1:{port}")) as lane,
    ):
        answer = (await send(lane, [b"a0"])).answers(0.0)[0]
        assert (answer.verdict, answer.reason) == (Verdict.RECONNECT, "NotProcessed")
        assert answer.detail == "the proxy refuses: 407 Proxy Authentication Required"
