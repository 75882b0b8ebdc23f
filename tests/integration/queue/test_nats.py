"""What is said about a NATS that cannot be used, how quickly, and that nothing is left behind; and what passes."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.js import api

from stentor.config import Config, QueueConfig
from stentor.errors import InvalidConfiguration, QueueUnavailable, StentorError
from stentor.queue.bells import NatsBell
from stentor.queue.contract import PLAN, Lease, Task
from stentor.queue.jetstream import JetStreamQueue
from stentor.queue.nats import Nats
from stentor.queue.outboxes import JetStreamOutbox
from stentor.queue.streams import Streams
from stentor.runtime.ports import open_backend
from stentor.simulators.tls import make_server_tls
from stentor.store.database import Database
from stentor.testing.nats import RunningNats, run_nats
from stentor.testing.nats_credentials import make_credentials
from stentor.testing.ports import LOOPBACK, HeldPort

AT_ONCE = 3.0
"""Seconds in which a mistake is said that the server tells us of."""
SOON = 6.0
"""The same where it says nothing."""
TASK = Task(id="c1/apns/ios/0.0.1", lane="apns/ios", campaign_id="c1", payload=b"payload")


@asynccontextmanager
async def left_nothing() -> AsyncIterator[None]:
    """See that nothing goes on, and no connection is open."""
    before = asyncio.all_tasks()
    yield
    if others := asyncio.all_tasks() - before:  # a test's own server sees the end of its connection a moment later
        await asyncio.wait(others, timeout=SOON)
    assert asyncio.all_tasks() == before
    gc.collect()  # a connection that is still open warns


async def _ready(nats: Nats, config: QueueConfig) -> None:
    await Streams(nats, config.name, config.replicas).ready()


Use = Callable[[Nats, QueueConfig], Awaitable[None]]


async def problem(use: Use = _ready, within: float = AT_ONCE, **settings: Any) -> StentorError:
    """What is wrong with these settings."""
    config = QueueConfig(**settings)
    async with left_nothing():
        nats = Nats(config)
        try:
            with pytest.raises(StentorError) as raised:
                async with asyncio.timeout(within):
                    await use(nats, config)
        finally:
            await nats.aclose()
        error = raised.value
        del raised
    return error


async def mistake(use: Use = _ready, **settings: Any) -> str:
    error = await problem(use, **settings)
    assert isinstance(error, InvalidConfiguration), error
    return str(error)


# Who we are


USER = "authorization { user: me, password: 'p@ss/word' }"


async def test_a_wrong_password() -> None:
    with run_nats(config=USER) as server:
        said = await mistake(url=server.url_as("me", "wrong"))
        assert "refuses us" in said
        assert "queue.url" in said
        assert "wrong" not in said
        assert "refuses us" in await mistake(url=server.url)
        await works(url=server.url_as("me", "p@ss/word"))


async def test_a_wrong_token() -> None:
    with run_nats(config="authorization { token: 's3cret' }") as server:
        assert "refuses us" in await mistake(url=server.url_as("other"))
        await works(url=server.url_as("s3cret"))


async def test_credentials(tmp_path: Path) -> None:
    file, others = tmp_path / "stentor.creds", tmp_path / "others.creds"
    with run_nats(config=make_credentials(file)) as server:
        await works(url=server.url, credentials_file=file)
        make_credentials(others)
        assert "queue.credentials_file" in await mistake(url=server.url, credentials_file=others)
        assert "refuses us" in await mistake(url=server.url)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no"),
        (b"", "is not a NATS credentials file"),
        (b"-----BEGIN NATS USER JWT-----\nabc\n------END NATS USER JWT------\n", "is not a NATS credentials file"),
        (
            b"-----BEGIN NATS USER JWT-----\nabc\n------END\n-----BEGIN USER NKEY SEED-----\nSUnonsense\n------END\n",
            "is broken",
        ),
    ],
    ids=["missing", "empty", "half", "broken key"],
)
async def test_a_file_that_is_no_credentials(nats_url: str, tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "bad.creds"
    if content is not None:
        file.write_bytes(content)
    text = await mistake(url=nats_url, credentials_file=file)
    assert "queue.credentials_file" in text
    assert said in text
    assert "nonsense" not in text


# What the server is


async def test_nobody_there() -> None:
    port = HeldPort()
    try:
        error = await problem(url=f"nats://{LOOPBACK}:{port.number}", within=SOON)
    finally:
        port.close()
    assert isinstance(error, QueueUnavailable)
    assert "are the servers running?" in str(error)


async def test_somebody_who_says_nothing() -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        error = await problem(url=f"nats://{LOOPBACK}:{silent.getsockname()[1]}", within=SOON)
    assert isinstance(error, QueueUnavailable)
    assert "doesn't answer" in str(error)


async def test_no_jetstream() -> None:
    with run_nats(jetstream=False) as server:
        said = await mistake(url=server.url)
    assert "has no JetStream" in said
    assert "jetstream {" in said


async def test_an_account_without_jetstream() -> None:
    config = (
        "accounts { A { users: [{ user: a, password: a }] }, B { jetstream: on, users: [{ user: b, password: b }] } }"
    )
    with run_nats(config=config) as server:
        assert "has no JetStream" in await mistake(url=server.url_as("a", "a"))
        await works(url=server.url_as("b", "b"))


async def test_messages_too_small() -> None:
    with run_nats(config="max_payload: 256KB") as server:
        assert "set `max_payload: 1MB`" in await mistake(url=server.url)


async def test_a_server_too_old() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        info = {"version": "2.9.25", "max_payload": 1 << 20, "headers": True, "server_id": "x"}
        writer.write(f"INFO {json.dumps(info)}\r\n".encode())
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
        writer.close()

    async with await asyncio.start_server(speak, LOOPBACK, 0) as server:
        port = server.sockets[0].getsockname()[1]
        said = await mistake(url=f"nats://{LOOPBACK}:{port}")
    assert "is version 2.9" in said
    assert "2.10 or newer" in said


# TLS


async def test_tls(tmp_path: Path) -> None:
    ours, theirs = (make_server_tls(tmp_path / name, provider=name) for name in ("ours", "theirs"))
    with run_nats(tls=ours.chain_file) as server:
        plain = server.url.replace("tls:", "nats:")
        assert "set `queue.ca_file`" in await mistake(url=server.url)
        assert "set `queue.ca_file`" in await mistake(url=plain)
        assert "set `queue.ca_file`" in await mistake(url=server.url, ca_file=theirs.ca_file)
        await works(url=server.url, ca_file=ours.ca_file)
        await works(url=plain, ca_file=ours.ca_file)
    authority = tmp_path / "clients.pem"
    authority.write_bytes(ours.client_authority.pem)
    with run_nats(tls=ours.chain_file, clients_ca=authority) as server:
        theirs_too = theirs.client_certificate("stranger", tmp_path / "stranger.pem")
        own = ours.client_certificate("us", tmp_path / "us.pem")
        assert "queue.certificate_file" in await mistake(url=server.url, ca_file=ours.ca_file)
        said = await mistake(url=server.url, ca_file=ours.ca_file, certificate_file=theirs_too)
        assert "queue.certificate_file" in said
        await works(url=server.url, ca_file=ours.ca_file, certificate_file=own)


async def test_files_of_tls_that_are_none(nats_url: str, tmp_path: Path) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    assert "queue.ca_file" in await mistake(url=nats_url, ca_file=junk)
    assert "queue.certificate_file" in await mistake(url=nats_url, certificate_file=junk)


async def test_no_password_leaves_over_a_connection_that_should_be_tls() -> None:
    heard = bytearray()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        info = {"version": "2.15.1", "max_payload": 1 << 20, "headers": True, "auth_required": True}
        writer.write(f"INFO {json.dumps(info)}\r\n".encode())
        while data := await reader.read(1000):
            heard.extend(data)
        writer.close()

    async with await asyncio.start_server(speak, LOOPBACK, 0) as server:
        port = server.sockets[0].getsockname()[1]
        for who in ("me:p4ss", "t0ken"):
            assert "offers no TLS" in await mistake(url=f"tls://{who}@{LOOPBACK}:{port}")
    assert b"p4ss" not in heard
    assert b"t0ken" not in heard


async def test_no_tls_where_there_is_no_password_either(nats_server: RunningNats) -> None:
    assert "offers no TLS" in await mistake(url=nats_server.url.replace("nats:", "tls:"))


# What we may do


async def _put(nats: Nats, config: QueueConfig) -> None:
    await _queue(nats, config).settle(put=[TASK])


async def _take(nats: Nats, config: QueueConfig) -> None:
    await _queue(nats, config).take(TASK.lane, 1, 5.0)


async def _done(nats: Nats, config: QueueConfig) -> None:
    queue = _queue(nats, config)
    await queue.settle(put=[TASK])
    await queue.settle(ack=await queue.take(TASK.lane, 1, 5.0))


async def _told(nats: Nats, config: QueueConfig) -> None:
    await JetStreamOutbox(nats, Streams(nats, config.name, config.replicas)).send(_lease(), [b"told"])


def _queue(nats: Nats, config: QueueConfig) -> JetStreamQueue:
    return JetStreamQueue(nats, Streams(nats, config.name, config.replicas), Database.open("sqlite:///never-opened.db"))


def _lease() -> Lease:
    return Lease(id=TASK.id, lane=TASK.lane, campaign_id="c1", payload=b"", deliveries=1, token="", until=0.0)


@pytest.mark.parametrize(
    ("denied", "use"),
    [
        ("$JS.API.INFO", _ready),
        ("$JS.API.STREAM.INFO.*", _ready),
        ("$JS.API.STREAM.CREATE.*", _ready),
        ("$JS.API.CONSUMER.>", _take),
        ("$JS.API.CONSUMER.MSG.NEXT.>", _take),
        ("stentor.batch.>", _put),
        ("stentor.outcome.>", _told),
        ("$JS.ACK.>", _done),
    ],
)
async def test_a_right_that_is_missing_for_publishing(denied: str, use: Use) -> None:
    with run_nats(config=_user(f'publish: {{ deny: ["{denied}"] }}')) as server:
        said = await mistake(use, url=server.url_as("me", "pw"))
    assert denied.lower().rstrip("*>.") in said.lower()


async def test_a_right_that_is_missing_for_listening() -> None:
    with run_nats(config=_user('subscribe: { deny: ["_INBOX.>"] }')) as server:
        said = await mistake(url=server.url_as("me", "pw"))
    assert "_inbox" in said


async def test_who_may_not_ring_works_all_the_same() -> None:
    rights = 'publish: { deny: ["stentor.bell"] }, subscribe: { deny: ["stentor.bell"] }'
    with run_nats(config=_user(rights)) as server:
        nats = Nats(QueueConfig(url=server.url_as("me", "pw")))
        bell = NatsBell(nats, "stentor")
        try:
            await asyncio.gather(bell.wait(), bell.ring(), Streams(nats, "stentor", 1).ready())
            await bell.ring()
            await bell.wait()
        finally:
            await nats.aclose()


def _user(rights: str) -> str:
    return f"authorization {{ users: [{{ user: me, password: pw, permissions: {{ {rights} }} }}] }}"


# What is there


@pytest.mark.parametrize("nodes", [1, 3])
async def test_more_replicas_than_servers(nodes: int) -> None:
    with run_nats(nodes) as server:
        said = await mistake(url=server.url, replicas=nodes + 2)
    assert f"too few servers for `queue.replicas = {nodes + 2}`" in said


@pytest.mark.parametrize(
    "other",
    [
        api.StreamConfig(name="stentor_batches", subjects=["stentor.batch.>"]),
        api.StreamConfig(name="stentor_batches", subjects=["elsewhere"]),
        api.StreamConfig(name="elsewhere", subjects=["stentor.>"]),
    ],
    ids=["other kind", "other subjects", "other name"],
)
async def test_a_stream_that_is_not_ours(other: api.StreamConfig) -> None:
    with run_nats() as server:
        async with connected(QueueConfig(url=server.url)) as nats:
            await (await nats.jetstream()).add_stream(other)
        said = await mistake(url=server.url)
    assert "choose another `queue.name`" in said


async def test_two_that_start_at_once_make_the_same(nats_url: str, queue_name: str) -> None:
    config = QueueConfig(url=nats_url, name=queue_name)
    async with connected(config) as one, connected(config) as other:
        streams = [Streams(nats, queue_name, 1) for nats in (one, other) for _ in range(3)]
        await asyncio.gather(*(each.ready() for each in streams))


async def test_no_room_passes(tmp_path: Path) -> None:
    account = "accounts { A { jetstream: { max_file: 4MB }, users: [{ user: me, password: pw }] } }"
    with run_nats(config=account) as server:
        async with connected(QueueConfig(url=server.url_as("me", "pw"))) as nats:
            queue = _queue(nats, QueueConfig(url=server.url))
            large = [_numbered(number, b"x" * 500_000) for number in range(12)]
            put = await _put_until_full(queue, large)
            await queue.settle(ack=await queue.take(TASK.lane, 3, 5.0))
            await queue.settle(put=[large[put]])
            left = await queue.take(TASK.lane, 100, 5.0)
            assert [lease.id for lease in left] == [task.id for task in large[3 : put + 1]]


async def _put_until_full(queue: JetStreamQueue, tasks: list[Task]) -> int:
    for number, task in enumerate(tasks):
        try:
            await queue.settle(put=[task])
        except QueueUnavailable as error:
            if "has no room" in str(error):
                return number
            raise
    raise AssertionError("there is room for all")


def _numbered(number: int, payload: bytes) -> Task:
    return Task(id=f"c1/{number}", lane=TASK.lane, campaign_id="c1", payload=payload)


async def test_the_backend_says_it_at_start(tmp_path: Path) -> None:
    config = Config.model_validate(
        {"store": {"url": f"sqlite:///{tmp_path / 's.db'}"}, "queue": {"url": "nats://127.0.0.1:1"}}
    )
    database = Database.open(config.store.url)
    async with left_nothing():
        backend = open_backend(config, database, lambda: 0.0)
        with pytest.raises(QueueUnavailable, match=r"127\.0\.0\.1:1"):
            await backend.ready()
        assert backend.problem
        await backend.aclose()
    await database.aclose()


@asynccontextmanager
async def connected(config: QueueConfig) -> AsyncIterator[Nats]:
    nats = Nats(config)
    try:
        yield nats
    finally:
        await nats.aclose()


async def works(**settings: Any) -> None:
    """See that these settings do."""
    config = QueueConfig(**settings)
    async with left_nothing(), connected(config) as nats:
        await _ready(nats, config)
        queue = _queue(nats, config)
        await queue.settle(put=[TASK])
        assert await queue.take(PLAN, 1, 5.0) == []
