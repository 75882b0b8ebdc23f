"""What `stentor doctor` says of a queue on NATS, and each thing that can be wrong there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from stentor.cli.findings import check_store
from stentor.cli.queue_checks import check_queue, check_replicas
from stentor.config import Config, QueueConfig, StoreConfig
from stentor.errors import QueueUnavailable
from stentor.findings import Finding, Status
from stentor.queue.nats import Nats
from stentor.queue.streams import Streams
from stentor.runtime.stentor import Stentor
from stentor.testing.nats import run_nats

PASSWORD = "correct-horse"
FEW_RIGHTS = f"""
authorization {{ users = [
  {{ user: all, password: {PASSWORD} }}
  {{ user: few, password: {PASSWORD}, permissions: {{ publish: ["$JS.API.INFO", "$JS.API.STREAM.INFO.*", "few.batch.>"],
     subscribe: "_INBOX.>" }} }}
] }}
"""


def config(url: str, name: str = "stentor", replicas: int = 1) -> Config:
    return Config(queue=QueueConfig(url=url, name=name, replicas=replicas))


def said(found: Sequence[Finding]) -> str:
    return "\n".join(f"{each.status} {each.check}: {each.detail} {each.remedy}" for each in found)


async def make_streams(config: Config) -> None:
    """As a role does: what a cluster leaves unanswered while it changes its leader is asked again."""
    nats = Nats(config.queue)
    streams = Streams(nats, config.queue.name, config.queue.replicas)
    try:
        while True:
            with suppress(QueueUnavailable):
                await streams.ready()
                return
    finally:
        await nats.aclose()


async def test_before_the_first_role_and_after(nats_url: str, queue_name: str) -> None:
    settings = config(nats_url, queue_name)
    for _ in range(2):  # nothing is made by looking
        server, streams = await check_queue(settings)
        assert "version 2." in server.detail
        assert "up to 1,048,576 bytes a message" in server.detail
        assert "there are none yet" in streams.detail
    await make_streams(settings)
    for _ in range(2):  # nothing is put by looking
        found = await check_queue(settings)
        assert f"{queue_name}_batches: 0 messages, 0.0 MiB; {queue_name}_plan: 0 messages" in found[1].detail
        assert f"{queue_name}_outcomes: 0 messages" in found[1].detail
        assert {each.status for each in found} == {Status.OK}


async def test_more_replicas_than_servers(nats_url: str, queue_name: str) -> None:
    found = await check_queue(config(nats_url, queue_name, replicas=3))
    assert "`queue.replicas` is 3, and the server is in no cluster" in said(found)
    assert found[1].status is Status.PROBLEM


def test_replicas_are_counted_in_the_cluster() -> None:
    assert check_replicas(3, 3) == check_replicas(1, None) == []
    (found,) = check_replicas(5, 3)
    assert "is 5, and the servers know of 3" in found.detail


async def test_a_cluster_of_three_of_which_one_dies() -> None:
    with run_nats(nodes=3) as nats:
        settings = config(nats.url, replicas=3)
        await make_streams(settings)
        nats.wait()
        assert {each.status for each in await check_queue(settings)} == {Status.OK}
        nats.nodes[0].kill()
        while "its replicas on n1 are offline or behind" not in said(found := await check_queue(settings)):
            pass  # the others take some seconds to notice
        assert {each.status for each in found} == {Status.OK, Status.WARNING}


async def test_what_is_wrong_is_said_without_the_password() -> None:
    with run_nats(config=FEW_RIGHTS) as nats:
        await make_streams(config(nats.url_as("all", PASSWORD), "few"))
        for user, password, wrong in (
            ("all", "another", "refuses us"),
            ("few", PASSWORD, "few.plan.plan.doctor.doctor"),
        ):
            found = await check_queue(config(nats.url_as(user, password), "few"))
            assert [each.status for each in found] == [Status.PROBLEM]
            assert wrong in said(found)
            assert password not in said(found)
        nats.stop()
        assert "cannot be reached" in said(await check_queue(config(nats.url)))


@pytest.mark.parametrize(("more", "wrong"), [("max_payload: 65536", "max_payload"), (None, "has no JetStream")])
async def test_a_server_that_cannot_serve_us(more: str | None, wrong: str) -> None:
    with run_nats(config=more or "", jetstream=more is not None) as nats:
        assert wrong in said(await check_queue(config(nats.url)))


async def test_campaigns_that_are_held_back_are_told_of(tmp_path: Path) -> None:
    settings = Config(store=StoreConfig(url=f"sqlite:///{tmp_path / 'stentor.db'}"))
    async with Stentor(settings) as stentor:
        await stentor.queue.drain()
        assert "warning campaigns: held back by `stentor drain`" in said(await check_store(settings))
        await stentor.queue.end_drain()
        assert "held back" not in said(await check_store(settings))
