"""The pool and its links on real sockets: connecting, proxies, certificates, silence, growth, and closing."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from stentor.errors import InvalidConfiguration, PoolClosed
from stentor.http2 import frames
from stentor.http2.burst import Burst, Fate, Template
from stentor.http2.pool import Pool, PoolOptions
from stentor.http2.transport import Deadlines, Endpoint, tls_context
from stentor.simulators.apns import ApnsSimulator
from stentor.simulators.fast import FastSimulator
from stentor.simulators.faults import Faults, Latency
from stentor.simulators.fcm import FcmSimulator
from stentor.simulators.tls import ServerTls, make_server_tls
from tests.integration.http2.test_faults import QUICK, TOKENS, apns, fcm

TEMPLATE = Template(((b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"push.example")), (b":path",))
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
IMPATIENT = PoolOptions(
    max_connections=2,
    patience=1.0,
    connects_per_second=5.0,
    timing=Deadlines(connect=0.5, answer=1.0, silence=0.3, ping=0.3),
)


def burst(count: int) -> Burst:
    return Burst(TEMPLATE, ([b"/%d" % number for number in range(count)],), [b"{}"] * count)


@pytest.fixture
def tls(tmp_path: Path) -> ServerTls:
    return make_server_tls(tmp_path, provider="apns")


@contextlib.asynccontextmanager
async def server(
    serve: Serve, context: ssl.SSLContext | None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            await serve(reader, writer)
        writer.transport.abort()

    listening = await asyncio.start_server(guarded, host, port, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def endpoint(port: int, tls: ServerTls, *, proxy: str | None = None, host: str = "127.0.0.1") -> Endpoint:
    return Endpoint(host=host, port=port, tls=tls_context(ca_file=tls.ca_file), proxy=proxy)


async def under_way(pool: Pool) -> None:
    """Until the pool has written something; it has no event to wait for, and needs none."""
    while not pool.state.open_streams:  # noqa: ASYNC110 - see above
        await asyncio.sleep(0.001)


async def forever(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    while await reader.read(65_536):
        pass


# -- connecting ---------------------------------------------------------------------------------------------------


async def test_nobody_listens(tls: ServerTls) -> None:
    async with server(forever, None) as port:
        pass
    async with Pool(endpoint(port, tls), IMPATIENT) as pool:
        results = await pool.send(burst(3))
    assert list(results.fates) == [Fate.NOT_PROCESSED] * 3
    assert "Connect" in results.reasons[0]
    assert f"127.0.0.1:{port}" in results.reasons[0]


async def test_an_untrusted_certificate_names_the_remedy(tls: ServerTls, tmp_path: Path) -> None:
    other = make_server_tls(tmp_path / "other", provider="fcm")
    async with server(forever, tls.context) as port, Pool(endpoint(port, other), IMPATIENT) as pool:
        results = await pool.send(burst(1))
    assert "not trusted" in results.reasons[0]
    assert "CA file" in results.reasons[0]


async def test_a_certificate_for_another_host_is_refused(tls: ServerTls) -> None:
    async with server(forever, tls.context) as port, Pool(endpoint(port, tls, host="127.0.0.2"), IMPATIENT) as pool:
        results = await pool.send(burst(1))
    assert results.fates[0] == Fate.NOT_PROCESSED


async def test_a_peer_without_h2_is_named(tls: ServerTls) -> None:
    tls.context.set_alpn_protocols(["http/1.1"])
    async with server(forever, tls.context) as port, Pool(endpoint(port, tls), IMPATIENT) as pool:
        results = await pool.send(burst(1))
    assert results.fates[0] == Fate.NOT_PROCESSED
    assert "h2" in results.reasons[0] or "alert" in results.reasons[0].lower()


async def test_a_peer_that_says_nothing_is_given_up(tls: ServerTls) -> None:
    async with server(forever, tls.context) as port, Pool(endpoint(port, tls), IMPATIENT) as pool:
        results = await pool.send(burst(1))
    assert "no HTTP/2 connection within 0.5 s" in results.reasons[0]


async def test_a_peer_that_talks_http1_is_named(tls: ServerTls) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await forever(reader, writer)

    async with server(talk, tls.context) as port, Pool(endpoint(port, tls), IMPATIENT) as pool:
        results = await pool.send(burst(1))
    assert "HTTP/1" in results.reasons[0]


async def test_a_peer_that_hangs_up_is_not_stormed(tls: ServerTls) -> None:
    connects = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connects
        connects += 1
        writer.write(frames.settings([]))
        await reader.read(1000)

    async with server(hang_up, tls.context) as port, Pool(endpoint(port, tls), IMPATIENT) as pool:
        results = await pool.send(burst(50))
    assert Fate.RESPONSE not in list(results.fates)
    assert 1 <= connects <= 4  # 2 s at most, the waits doubling from 0.25 s on


async def test_goaway_at_once_tells_the_credential_problem(tls: ServerTls) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frames.settings([]))
        await reader.readexactly(len(frames.PREFACE) + 200)
        writer.write(frames.goaway(0, frames.NO_ERROR, b'{"reason":"BadCertificateEnvironment"}'))
        await writer.drain()
        await forever(reader, writer)

    async with server(refuse, tls.context) as port, Pool(endpoint(port, tls), IMPATIENT) as pool:
        results = await pool.send(burst(20))
        assert pool.goaway_debug == b'{"reason":"BadCertificateEnvironment"}'
    assert list(results.fates) == [Fate.NOT_PROCESSED] * 20
    assert "BadCertificateEnvironment" in results.reasons[0]


async def test_a_connect_that_fails_takes_back_no_reason(tls: ServerTls) -> None:
    """The credential's fault is told once; that nothing can be connected after it says nothing about it."""
    connects = 0

    async def refuse_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connects
        connects += 1
        if connects == 1:
            writer.write(frames.settings([]) + frames.goaway(0, frames.NO_ERROR, b'{"reason":"BadCertificate"}'))
            await writer.drain()
            await forever(reader, writer)

    async with server(refuse_once, tls.context) as port, Pool(endpoint(port, tls), IMPATIENT) as pool:
        results = await pool.send(burst(20))
        assert connects > 1
        assert pool.goaway_debug == b'{"reason":"BadCertificate"}'
    assert list(results.fates) == [Fate.NOT_PROCESSED] * 20


async def test_a_connection_that_was_answered_and_ends_without_a_reason_takes_the_last_one_back(tls: ServerTls) -> None:
    connects = 0

    async def refuse_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connects
        connects += 1
        writer.write(frames.settings([]))
        await reader.readexactly(len(frames.PREFACE) + 50)
        if connects == 1:
            writer.write(frames.goaway(0, frames.NO_ERROR, b'{"reason":"ExpiredProviderToken"}'))
        else:
            writer.write(frames.frame(frames.HEADERS, 5, 1, b"\x88"))
        await writer.drain()
        if connects == 1:
            await forever(reader, writer)

    async with server(refuse_once, tls.context) as port, Pool(endpoint(port, tls), IMPATIENT) as pool:
        results = await pool.send(burst(1))
        assert list(results.statuses) == [200]
        for link in list(pool._links):
            await link.closed
        assert connects == 2
        assert pool.goaway_debug == b""


# -- proxies and client certificates ------------------------------------------------------------------------------


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: list[bytes]) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    seen.append(head)
    host, _, port = head.split()[1].decode().rpartition(":")
    far_reader, far_writer = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


async def test_through_a_proxy() -> None:
    seen: list[bytes] = []
    async with (
        apns(Faults()) as (simulator, bursts),
        server(lambda reader, writer: tunnel(reader, writer, seen), None) as port,
        Pool(
            Endpoint(
                host="127.0.0.1",
                port=simulator.port,
                tls=tls_context(ca_file=simulator.ca_file),
                proxy=f"http://herald:p%40ss@127.0.0.1:{port}",
            ),
            QUICK,
        ) as pool,
    ):
        results = await pool.send(bursts[0])
        assert "p%40ss" not in repr(pool)
    assert list(results.statuses) == [200] * len(bursts[0])
    assert seen[0].startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:" % simulator.port)
    assert b"Proxy-Authorization: Basic aGVyYWxkOnBAc3M=\r\n" in seen[0]


async def test_a_proxy_that_refuses_is_named(tls: ServerTls) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        await writer.drain()

    async with server(refuse, None) as port:
        where = endpoint(443, tls, proxy=f"http://127.0.0.1:{port}")
        async with Pool(where, IMPATIENT) as pool:
            results = await pool.send(burst(1))
    assert "407 Proxy Authentication Required" in results.reasons[0]


def test_a_proxy_address_that_makes_no_sense_is_refused(tls: ServerTls) -> None:
    with pytest.raises(InvalidConfiguration, match="proxy"):
        endpoint(443, tls, proxy="socks5://localhost:1080")


async def test_a_client_certificate_is_shown() -> None:
    async with ApnsSimulator() as simulator:
        certificate = simulator.client_certificate("com.example.app")
        context = tls_context(ca_file=simulator.ca_file, certificate=certificate)
        template = Template(
            (
                (b":method", b"POST"),
                (b":scheme", b"https"),
                (b":authority", b"api.push.apple.com"),
                (b"apns-push-type", b"alert"),
                (b"apns-topic", b"com.example.app"),
            ),
            (b":path",),
        )
        paths = [b"/3/device/" + token for token in TOKENS[:20]]
        pushes = Burst(template, (paths,), [b'{"aps":{"alert":"x"}}'] * 20)
        async with Pool(Endpoint(host="127.0.0.1", port=simulator.port, tls=context), QUICK) as pool:
            results = await pool.send(pushes)
    assert list(results.statuses) == [200] * 20, results.replies


@pytest.mark.parametrize("what", ["ca_file", "certificate"])
def test_files_that_are_not_certificates_are_named(what: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    with pytest.raises(InvalidConfiguration, match=r"wrong\.pem"):
        tls_context(**{what: wrong})  # type: ignore[arg-type]
    with pytest.raises(InvalidConfiguration, match=r"absent\.pem"):
        tls_context(**{what: tmp_path / "absent.pem"})  # type: ignore[arg-type]


# -- silence ------------------------------------------------------------------------------------------------------


async def test_a_peer_that_falls_silent_is_pinged_and_given_up(tls: ServerTls) -> None:
    async def fall_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frames.settings([]))
        await forever(reader, writer)

    slow = PoolOptions(timing=Deadlines(connect=1.0, answer=30.0, silence=0.2, ping=0.2))
    start = time.monotonic()
    async with server(fall_silent, tls.context) as port, Pool(endpoint(port, tls), slow) as pool:
        results = await pool.send(burst(5))
    assert list(results.fates) == [Fate.AMBIGUOUS] * 5
    assert "not even a PING" in results.reasons[0]
    assert time.monotonic() - start < 10


async def test_a_peer_that_only_answers_pings_meets_the_deadline_of_each_request(tls: ServerTls) -> None:
    async def ping_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frames.settings([]))
        await reader.readexactly(len(frames.PREFACE))
        while True:
            length_and_type, flags, _ = frames.HEAD.unpack(await reader.readexactly(9))
            payload = await reader.readexactly(length_and_type >> 8)
            if length_and_type & 0xFF == frames.PING and not flags:
                writer.write(frames.ping(payload, ack=True))

    patient = PoolOptions(timing=Deadlines(connect=1.0, answer=0.8, silence=0.2, ping=0.5))
    async with server(ping_back, tls.context) as port, Pool(endpoint(port, tls), patient) as pool:
        results = await pool.send(burst(5))
    assert list(results.fates) == [Fate.AMBIGUOUS] * 5
    assert results.reasons[0] == "no answer within 0.8 s"


async def test_a_half_closed_peer_ends_the_connection(tls: ServerTls) -> None:
    async def half_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frames.settings([]))
        await reader.readexactly(len(frames.PREFACE) + 100)
        writer.close()

    async with server(half_close, tls.context) as port, Pool(endpoint(port, tls), IMPATIENT) as pool:
        results = await pool.send(burst(5))
    assert set(results.fates) <= {Fate.AMBIGUOUS, Fate.NOT_PROCESSED}


async def test_garbage_is_a_protocol_error_with_a_reason(tls: ServerTls) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frames.settings([]))
        await reader.readexactly(len(frames.PREFACE) + 100)
        writer.write(b"\xff" * 1000)
        await forever(reader, writer)

    async with server(babble, tls.context) as port, Pool(endpoint(port, tls), IMPATIENT) as pool:
        results = await pool.send(burst(5))
    assert list(results.fates) == [Fate.AMBIGUOUS] * 5
    assert "protocol error: frame of 16777215 bytes" in results.reasons[0]


# -- stream limits, growth, spreading -----------------------------------------------------------------------------


async def test_a_limit_of_one_is_kept_until_the_peer_raises_it(tls: ServerTls) -> None:
    """As APNs does with token authentication: one stream until the first authenticated answer."""
    seen: list[int] = []

    async def read_requests(reader: asyncio.StreamReader, upto: int) -> None:
        while len(seen) < upto:
            length_and_type, _, stream_id = frames.HEAD.unpack(await reader.readexactly(9))
            await reader.readexactly(length_and_type >> 8)
            if length_and_type & 0xFF == frames.HEADERS:
                seen.append(stream_id)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frames.settings([(frames.MAX_CONCURRENT_STREAMS, 1)]))
        await reader.readexactly(len(frames.PREFACE))
        await read_requests(reader, 1)
        with contextlib.suppress(TimeoutError):  # nothing tells that no more will come
            await asyncio.wait_for(read_requests(reader, 2), 0.2)
        assert seen == [1]
        writer.write(
            frames.frame(frames.HEADERS, 5, 1, b"\x88") + frames.settings([(frames.MAX_CONCURRENT_STREAMS, 1000)])
        )
        await read_requests(reader, 40)
        writer.write(b"".join(frames.frame(frames.HEADERS, 5, stream_id, b"\x88") for stream_id in seen[1:]))
        await forever(reader, writer)

    async with server(serve, tls.context) as port, Pool(endpoint(port, tls), PoolOptions(max_connections=1)) as pool:
        results = await pool.send(burst(40))
    assert list(results.statuses) == [200] * 40
    assert seen == list(range(1, 80, 2))


async def test_fcm_gets_a_hundred_streams_and_more_connections_only_while_they_are_short() -> None:
    async with fcm(Faults(latency=Latency(median_s=0.05, p99_s=0.06))) as (simulator, bursts):
        where = Endpoint(host="127.0.0.1", port=simulator.port, tls=tls_context(ca_file=simulator.ca_file))
        async with Pool(where, PoolOptions(max_connections=3)) as pool:
            while pool.state.connections < 3:  # each is opened some time after the streams of those before are short
                await asyncio.gather(*(pool.send(each) for each in bursts))
            assert pool.state.stream_limit == 300
    summary = simulator.summary()
    assert summary["streams_high_water"] == 100
    assert summary["violations"] == []


async def test_one_connection_is_enough_where_streams_are_not_short() -> None:
    async with FastSimulator("apns") as simulator:
        where = Endpoint(
            host="127.0.0.1", port=simulator.port, tls=tls_context(ca_file=Path(simulator.facts()["ca_file"]))
        )
        async with Pool(where) as pool:
            for _ in range(20):
                await pool.send(burst(50))
                await asyncio.sleep(0.02)  # as batches come: it has time to open another, and no cause
            assert pool.state.connections == 1


async def test_the_load_is_spread_over_the_connections() -> None:
    async with FastSimulator("fcm", latency=0.02) as simulator:
        where = Endpoint(
            host="127.0.0.1", port=simulator.port, tls=tls_context(ca_file=Path(simulator.facts()["ca_file"]))
        )
        async with Pool(where, PoolOptions(max_connections=4)) as pool:
            while pool.state.connections < 4:
                await asyncio.gather(*(pool.send(burst(1000)) for _ in range(10)))
            answered = [link.connection.responses for link in pool._links]
            before = sum(answered)
            await asyncio.gather(*(pool.send(burst(100)) for _ in range(10)))
            grown = [link.connection.responses - old for link, old in zip(pool._links, answered, strict=True)]
            assert sum(grown) == 1000 == sum(link.connection.responses for link in pool._links) - before
            assert min(grown) > 100


# -- closing and memory -------------------------------------------------------------------------------------------


async def test_a_closed_pool_takes_nothing() -> None:
    async with FastSimulator("apns") as simulator:
        where = Endpoint(
            host="127.0.0.1", port=simulator.port, tls=tls_context(ca_file=Path(simulator.facts()["ca_file"]))
        )
        pool = Pool(where)
        assert len((await pool.send(Burst(TEMPLATE, ([],), []))).fates) == 0
        await pool.send(burst(1))
        await pool.aclose()
        with pytest.raises(PoolClosed):
            await pool.send(burst(1))
        with pytest.raises(PoolClosed):
            pool.start(burst(1))


async def test_closing_lets_what_is_under_way_finish() -> None:
    async with FastSimulator("apns", latency=0.1) as simulator:
        where = Endpoint(
            host="127.0.0.1", port=simulator.port, tls=tls_context(ca_file=Path(simulator.facts()["ca_file"]))
        )
        pool = Pool(where)
        sending = asyncio.ensure_future(pool.send(burst(3000)))
        await under_way(pool)
        await pool.aclose()
        results = await sending
    assert list(results.statuses) == [200] * 3000
    assert simulator.requests == 3000


async def test_closing_without_patience_tells_written_from_unwritten() -> None:
    async with FastSimulator("apns", latency=5.0) as simulator:
        where = Endpoint(
            host="127.0.0.1", port=simulator.port, tls=tls_context(ca_file=Path(simulator.facts()["ca_file"]))
        )
        pool = Pool(where, PoolOptions(max_connections=1))
        sending = asyncio.ensure_future(pool.send(burst(1500)))
        await under_way(pool)
        await pool.aclose(drain=0.0)
        results = await sending
    fates = [Fate(fate) for fate in results.fates]
    assert fates == [Fate.AMBIGUOUS] * 1000 + [Fate.NOT_PROCESSED] * 500
    assert results.reasons[0] == "the pool was closed"


async def test_a_cancelled_send_sends_no_more_and_leaves_the_pool_whole() -> None:
    async with FastSimulator("apns", latency=0.2) as simulator:
        where = Endpoint(
            host="127.0.0.1", port=simulator.port, tls=tls_context(ca_file=Path(simulator.facts()["ca_file"]))
        )
        async with Pool(where, PoolOptions(max_connections=1)) as pool:
            sending = asyncio.ensure_future(pool.send(burst(5000)))
            await under_way(pool)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            assert pool.state.waiting == 0
            results = await pool.send(burst(10))
            assert list(results.statuses) == [200] * 10
    assert simulator.requests == 1010


async def test_results_fill_in_while_a_burst_is_under_way(tls: ServerTls) -> None:
    seen = asyncio.Event()

    async def answer_some(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frames.settings([(frames.MAX_CONCURRENT_STREAMS, 5)]))
        await reader.readexactly(len(frames.PREFACE) + 100)
        writer.write(b"".join(frames.frame(frames.HEADERS, 5, stream_id, b"\x88") for stream_id in (1, 5, 9)))
        await seen.wait()
        writer.write(b"".join(frames.frame(frames.HEADERS, 5, stream_id, b"\x88") for stream_id in (3, 7)))
        await forever(reader, writer)

    async with server(answer_some, tls.context) as port, Pool(endpoint(port, tls), IMPATIENT) as pool:
        sending = pool.start(burst(5))
        assert sending.unwritten == 5
        while sending.left > 2:  # noqa: ASYNC110 - as in `under_way`
            await asyncio.sleep(0.001)
        assert list(sending.results.statuses) == [200, 0, 200, 0, 200]
        assert repr(sending) == "<Sending 5: 2 unsettled, 0 of them unwritten>"
        seen.set()
        assert await sending.done() is sending.results
    assert list(sending.results.statuses) == [200] * 5


async def test_a_withdrawn_burst_is_written_no_further_and_what_is_in_flight_is_awaited() -> None:
    async with FastSimulator("apns", latency=0.2) as simulator:
        where = Endpoint(
            host="127.0.0.1", port=simulator.port, tls=tls_context(ca_file=Path(simulator.facts()["ca_file"]))
        )
        async with Pool(where, PoolOptions(max_connections=1)) as pool:
            sending, other = pool.start(burst(3000)), pool.start(burst(10))
            await under_way(pool)
            sending.withdraw("the campaign was paused")
            assert sending.unwritten == 0
            assert sending.results.fates.count(Fate.NOT_PROCESSED) == 2000
            assert sending.results.fates.count(Fate.PENDING) == 1000
            results = await sending.done()
            sending.withdraw("once more")
            assert list((await other.done()).statuses) == [200] * 10
    assert list(results.statuses) == [200] * 1000 + [0] * 2000
    assert set(results.reasons.values()) == {"the campaign was paused"}
    assert simulator.requests == 1010


async def test_a_burst_withdrawn_before_anything_was_written_is_done_at_once(tls: ServerTls) -> None:
    async with server(forever, None) as port, Pool(endpoint(port, tls), IMPATIENT) as pool:
        sending = pool.start(burst(5))
        sending.withdraw("stopped")
        results = await sending.done()
        assert pool.state.waiting == 0
    assert list(results.fates) == [Fate.NOT_PROCESSED] * 5


async def test_what_is_refused_after_a_withdrawal_is_not_sent_again(tls: ServerTls) -> None:
    withdrawn = asyncio.Event()
    requests = 0

    async def refuse_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        writer.write(frames.settings([(frames.MAX_CONCURRENT_STREAMS, 10)]))
        await reader.readexactly(len(frames.PREFACE))
        while True:
            length_and_type, _, stream_id = frames.HEAD.unpack(await reader.readexactly(9))
            await reader.readexactly(length_and_type >> 8)
            if length_and_type & 0xFF == frames.HEADERS:
                requests += 1
                await withdrawn.wait()
                writer.write(frames.rst_stream(stream_id, frames.REFUSED_STREAM))

    async with server(refuse_all, tls.context) as port, Pool(endpoint(port, tls), IMPATIENT) as pool:
        sending = pool.start(burst(20))
        await under_way(pool)
        sending.withdraw("stopped")
        withdrawn.set()
        results = await sending.done()
    assert list(results.fates) == [Fate.NOT_PROCESSED] * 20
    assert requests == 10


async def test_memory_does_not_grow_with_the_number_of_requests() -> None:
    async with FastSimulator("apns") as simulator:
        where = Endpoint(
            host="127.0.0.1", port=simulator.port, tls=tls_context(ca_file=Path(simulator.facts()["ca_file"]))
        )
        thousand = burst(1000)
        async with Pool(where) as pool:
            for _ in range(30):
                await pool.send(thousand)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for _ in range(300):
                await pool.send(thousand)
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 4096, f"{grown} KiB for 300,000 requests"


async def test_repr_and_state_tell_how_it_stands() -> None:
    async with FcmSimulator() as simulator:
        where = Endpoint(host="127.0.0.1", port=simulator.port, tls=tls_context(ca_file=simulator.ca_file))
        async with Pool(where) as pool:
            assert repr(pool).startswith(f"<Pool 127.0.0.1:{simulator.port} PoolState(connections=0")


async def test_a_host_that_cannot_exist_is_named(tls: ServerTls) -> None:
    async with Pool(endpoint(443, tls, host="x" * 70 + ".example"), IMPATIENT) as pool:
        results = await pool.send(burst(1))
    assert "x" * 70 in results.reasons[0]


async def test_a_defect_of_the_pool_reaches_whoever_waits(tls: ServerTls, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> int:
        raise ZeroDivisionError

    async with server(forever, tls.context) as port, Pool(endpoint(port, tls), IMPATIENT) as pool:
        sending = asyncio.ensure_future(pool.send(burst(1)))
        await asyncio.sleep(0)
        monkeypatch.setattr("stentor.http2.pool.connections_to_open", broken)
        with pytest.raises(ZeroDivisionError):
            await sending


async def test_a_burst_that_waits_its_turn_is_not_given_up(tls: ServerTls) -> None:
    """Patience counts from when the pool last wrote anything: a long queue is no dead provider."""
    async with FastSimulator("fcm", latency=0.05) as simulator:
        ca_file = Path(simulator.facts()["ca_file"])
        where = Endpoint(host="127.0.0.1", port=simulator.port, tls=tls_context(ca_file=ca_file))
        async with Pool(where, PoolOptions(max_connections=1, patience=0.4)) as pool:
            every = await asyncio.gather(*(pool.send(burst(400)) for _ in range(5)))
    assert all(list(results.statuses) == [200] * 400 for results in every)


async def test_used_up_stream_ids_lead_to_another_connection() -> None:
    async with FastSimulator("apns") as simulator:
        where = Endpoint(
            host="127.0.0.1", port=simulator.port, tls=tls_context(ca_file=Path(simulator.facts()["ca_file"]))
        )
        async with Pool(where) as pool:
            await pool.send(burst(10))
            (worn,) = pool._links
            worn.connection._next_id = frames.LAST_STREAM_ID - 198  # a hundred left
            results = await pool.send(burst(500))
            assert list(results.statuses) == [200] * 500
            assert worn.closed.done()
            assert pool.state.connections == 1


async def test_a_peer_that_asks_for_calm_gets_fewer_connections_and_a_pause(tls: ServerTls) -> None:
    async def exhausted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frames.settings([]))
        await reader.readexactly(len(frames.PREFACE) + 100)
        writer.write(frames.frame(frames.HEADERS, 5, 1, b"\x88") + frames.goaway(1, frames.ENHANCE_YOUR_CALM))
        await forever(reader, writer)

    async with server(exhausted, tls.context) as port, Pool(endpoint(port, tls), IMPATIENT) as pool:
        results = await pool.send(burst(1))
        for link in list(pool._links):  # none, if the goodbye was quicker than we are
            await link.closed
        now = asyncio.get_running_loop().time()
        assert pool._ceiling.at(now) == 1 < IMPATIENT.max_connections
        assert pool._connect_after > now
    assert list(results.statuses) == [200]


async def test_an_urgent_burst_is_written_before_what_waits() -> None:
    async with FastSimulator("fcm", latency=0.05) as simulator:
        where = Endpoint(
            host="127.0.0.1", port=simulator.port, tls=tls_context(ca_file=Path(simulator.facts()["ca_file"]))
        )
        async with Pool(where, PoolOptions(max_connections=1)) as pool:
            waiting = [pool.start(burst(1000)) for _ in range(3)]
            urgent = [pool.start(burst(1), is_urgent=True) for _ in range(2)]
            await asyncio.gather(*(sending.done() for sending in urgent))
            assert all(sending.unwritten for sending in waiting)
            for sending in waiting:
                sending.withdraw("the test is over")
