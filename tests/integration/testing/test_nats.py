"""The NATS for tests: it keeps what it stores through all that is done to its nodes, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError, ServiceUnavailableError

from stentor.simulators.tls import make_server_tls
from stentor.testing.nats import RunningNats, run_nats
from stentor.testing.nats_credentials import make_credentials

NO_PATIENCE = {"allow_reconnect": False, "max_reconnect_attempts": 1, "reconnect_time_wait": 0}
CRASHER = """
import os, signal
from stentor.testing.nats import run_nats
with run_nats(nodes=2) as server:
    server.nodes[1].suspend()
    print(server.folder, *(node.port for node in server.nodes), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Client]:
    """A client that gives up at once if it isn't let in, and is quiet about it."""
    client = Client()  # `nats.connect` would leave the connection of one that is refused open
    try:
        await client.connect(url.split(","), error_cb=_ignore, **{**NO_PATIENCE, **options})
        yield client
    finally:
        await client.close()


async def _ignore(error: Exception) -> None:
    """The call that failed raises it as well."""


def _is_taken(port: int) -> bool:
    """Whether a server has it, suspended or not."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def single() -> Iterator[RunningNats]:
    with run_nats() as server:
        yield server


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningNats]:
    with run_nats(nodes=3) as server:
        yield server


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_what_was_stored_outlives_a_restart(single: RunningNats, end: str) -> None:
    (node,) = single.nodes
    url, pid = single.url, node.pid
    async with connected(url) as client:
        await client.jetstream().add_stream(name="kept", subjects=["kept"])
        for number in range(100):
            await client.jetstream().publish("kept", str(number).encode())
    getattr(single, end)()
    assert not node.runs
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", node.port)
    single.start()
    assert (node.runs, single.url) == (True, url)
    assert node.pid != pid
    async with connected(url) as client:
        assert (await client.jetstream().stream_info("kept")).state.messages == 100


def test_whoever_is_up_or_down_may_be_started_or_ended_again(single: RunningNats) -> None:
    (node,) = single.nodes
    pid = node.pid
    node.start()
    assert node.pid == pid
    node.kill()
    node.kill()
    node.stop()
    assert repr(node) == f"<NatsNode n1 {node.url} down>"
    node.start()
    assert repr(node) == f"<NatsNode n1 {node.url} process {node.pid}>"


async def test_a_suspended_node_answers_when_it_goes_on(single: RunningNats) -> None:
    (node,) = single.nodes
    async with connected(single.url) as client:
        await client.flush()
        node.suspend()
        assert node.runs
        asked = asyncio.create_task(client.jetstream().account_info())
        assert not await asyncio.to_thread(node.ask, "/varz")  # waits a second for an answer
        assert not asked.done()
        node.go_on()
        assert (await asked).streams == 0
    node.suspend()
    node.stop()


async def make_replicated(client: Client, name: str) -> str:
    """A stream of that name on all three nodes, and who leads it.

    What is asked of a cluster while it changes its leader (as a slow machine makes it do) is never answered.
    """
    while True:
        with suppress(NatsTimeoutError):
            made = await client.jetstream().add_stream(name=name, subjects=[name], num_replicas=3)
            assert made.cluster is not None
            assert made.cluster.leader is not None
            return made.cluster.leader


async def publish_when_led(client: Client, name: str, message: bytes) -> None:
    """To a stream, whose own leader is chosen after the cluster's."""
    while True:
        with suppress(NoStreamResponseError, NatsTimeoutError):
            await client.jetstream().publish(name, message, headers={"Nats-Msg-Id": message.decode()})
            return
        await asyncio.sleep(0.1)


async def test_a_cluster_of_three_survives_the_end_of_its_leader(cluster: RunningNats) -> None:
    assert len(cluster.url.split(",")) == len(cluster.nodes) == 3
    async with connected(cluster.url) as client:
        stream_leader = cluster.node(await make_replicated(client, "three"))
        await publish_when_led(client, "three", b"1")
    stream_leader.kill()
    cluster.wait()
    assert cluster.leader not in (None, stream_leader)
    others = ",".join(node.url for node in cluster.nodes if node.runs)
    async with connected(others) as client:
        await publish_when_led(client, "three", b"2")
    stream_leader.start()
    cluster.wait()
    async with connected(stream_leader.url) as client:
        assert (await client.jetstream().stream_info("three")).state.messages == 2
        await client.jetstream().delete_stream("three")


async def test_a_cluster_survives_the_end_of_all_its_nodes(cluster: RunningNats) -> None:
    async with connected(cluster.url) as client:
        await make_replicated(client, "all")
        await publish_when_led(client, "all", b"1")
    cluster.kill()
    assert cluster.leader is None
    cluster.start()
    async with connected(cluster.url) as client:
        assert (await client.jetstream().stream_info("all")).state.messages == 1
        await client.jetstream().delete_stream("all")


async def test_without_jetstream() -> None:
    with run_nats(jetstream=False) as server:
        async with connected(server.url) as client:
            with pytest.raises(ServiceUnavailableError):
                await client.jetstream().account_info()


async def test_users_and_their_rights() -> None:
    config = """
    authorization { users: [
        {user: boss, password: "not-a-secret"}
        {user: clerk, password: secret, permissions: {publish: {deny: "$JS.API.STREAM.CREATE.>"}}}
    ] }
    """
    with run_nats(config=config) as server:
        async with connected(server.url_as("boss", "not-a-secret")) as client:
            await client.jetstream().add_stream(name="made", subjects=["made"])
        async with connected(server.url_as("clerk", "secret")) as client:
            await client.jetstream().publish("made", b"1")
            with pytest.raises(NatsError):
                await client.jetstream(timeout=0.2).add_stream(name="denied", subjects=["denied"])
            with pytest.raises(NotFoundError):
                await client.jetstream().stream_info("denied")
        for url in (server.url, server.url_as("boss", "wrong")):
            with pytest.raises(NatsError, match="Authorization Violation"):
                async with connected(url):
                    pass


async def test_a_token() -> None:
    with run_nats(config="authorization { token: sesame }") as server:
        async with connected(server.url_as("sesame")) as client:
            await client.jetstream().account_info()


async def test_a_credentials_file(tmp_path: Path) -> None:
    config = make_credentials(tmp_path / "user.creds", deny_publish=["$JS.API.STREAM.DELETE.>"])
    make_credentials(tmp_path / "other.creds")
    with run_nats(config=config) as server:
        async with connected(server.url, user_credentials=str(tmp_path / "user.creds")) as client:
            await client.jetstream().add_stream(name="made", subjects=["made"])
            with pytest.raises(NatsError):
                await client.jetstream(timeout=0.2).delete_stream("made")
        for others in ({}, {"user_credentials": str(tmp_path / "other.creds")}):
            with pytest.raises(NatsError, match="Authorization Violation"):
                async with connected(server.url, **others):
                    pass


async def test_tls_and_certificates_of_clients(tmp_path: Path) -> None:
    tls = make_server_tls(tmp_path, provider="nats")
    clients_ca = tmp_path / "clients.pem"
    clients_ca.write_bytes(tls.client_authority.pem)
    anybody = ssl.create_default_context(cafile=tls.ca_file)
    with run_nats(tls=tls.chain_file) as server:
        assert server.url.startswith("tls://")
        async with connected(server.url, tls=anybody) as client:
            await client.jetstream().account_info()
    known = ssl.create_default_context(cafile=tls.ca_file)
    known.load_cert_chain(tls.client_certificate("sender", tmp_path / "client.pem"))
    with run_nats(tls=tls.chain_file, clients_ca=clients_ca) as server:
        async with connected(server.url, tls=known) as client:
            await client.jetstream().account_info()
        with pytest.raises((NatsError, OSError)):
            async with connected(server.url, tls=anybody):
                pass


async def test_limits_of_storage_and_of_a_message() -> None:
    with run_nats(config="max_payload: 1000", max_storage=100_000) as server:
        async with connected(server.url) as client:
            assert client.max_payload == 1000
            with pytest.raises(MaxPayloadError):
                await client.publish("any", b"x" * 1001)
            with pytest.raises(APIError, match="insufficient storage"):
                await client.jetstream().add_stream(name="big", subjects=["big"], max_bytes=200_000)


def test_a_bad_configuration_is_told_with_what_the_server_says() -> None:
    with (
        pytest.raises(RuntimeError, match=r"(?s)the NATS node n1 ended at its start.*config is invalid"),
        run_nats(config="nonsense"),
    ):
        pass


async def test_each_queue_name_is_new_and_leaves_no_streams(nats_server: RunningNats) -> None:
    async with (
        nats_server.queue_name() as name,
        nats_server.queue_name() as longer,
        connected(nats_server.url) as client,
    ):
        assert longer != name
        jetstream = client.jetstream()
        await jetstream.add_stream(name=f"{name}_batches", subjects=[f"{name}.>"])
        await jetstream.create_key_value(bucket=f"{name}_progress")
        await jetstream.add_stream(name=f"{name}0_batches", subjects=["other"])
    async with connected(nats_server.url) as client:
        left = {stream.config.name for stream in await client.jetstream().streams_info()}
        assert f"{name}0_batches" in left
        assert not {f"{name}_batches", f"KV_{name}_progress"} & left
        await client.jetstream().delete_stream(f"{name}0_batches")


def test_nothing_is_left_when_it_ends() -> None:
    with run_nats(nodes=2) as server:
        ports = [node.port for node in server.nodes]
        server.nodes[0].suspend()
        assert server.folder.exists()
        assert all(map(_is_taken, ports))
    assert not server.folder.exists()
    assert not any(map(_is_taken, ports))


def test_nothing_is_left_when_the_test_process_is_killed() -> None:
    # What reads its error output reaches the end when the last one that has it is gone: the guard.
    ended = subprocess.run([sys.executable, "-c", CRASHER], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (-9, "")
    folder, *ports = ended.stdout.split()
    assert not Path(folder).exists()
    while any(_is_taken(int(port)) for port in ports):  # the killed end in their own time
        time.sleep(0.01)
