"""More subjects than a server names in one answer: all are found, and all are counted, whatever goes meanwhile."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, cast

import pytest

from stentor.config import QueueConfig
from stentor.errors import QueueUnavailable
from stentor.queue.nats import Nats
from stentor.queue.notes import WAITING
from stentor.queue.streams import Address, token
from stentor.queue.subjects import number_of_subjects, subjects_of
from stentor.store.database import Database
from tests.integration.queue.rig import LANE, Rig, again, rig_on

MORE = 100_100
"""Than the 100,000 that a server of NATS names at once, which no setting of its changes."""
AT_ONCE = 2000
"""Messages that are sent before the server must have them."""


@pytest.fixture
async def rig(nats_url: str, queue_name: str, tmp_path: Path) -> AsyncIterator[Rig]:
    database = Database.open(f"sqlite:///{tmp_path / 'stentor.db'}")
    async with rig_on(nats_url, queue_name, database) as rig:
        await rig.streams.ready()
        yield rig
    await database.aclose()


def addresses() -> Iterable[Address]:
    return (Address(f"c1/{number:06}", LANE, "c1", "e") for number in range(MORE))


async def publish(rig: Rig, stream: str, subjects: Iterable[str]) -> None:
    """Put an empty message of each of these, without waiting for each; the stream has them when this returns."""
    client = await rig.nats.client()
    for number, subject in enumerate(subjects):
        await client.publish(subject)
        if number % AT_ONCE == 0:
            await client.flush()
    await client.flush()
    jetstream = await rig.jetstream()

    async def stored() -> bool:
        return (await jetstream.stream_info(stream)).state.messages == MORE

    await again(stored)


async def test_more_batches_are_queued_than_the_server_names_at_once(rig: Rig) -> None:
    await publish(rig, rig.streams.batches, map(rig.streams.subject, addresses()))
    assert await rig.queue.queued("c1") == {each.id for each in addresses()}
    assert await rig.queue.queued("c2") == set()
    assert (await rig.queue.depths([LANE]))[LANE].ready == MORE


async def test_more_batches_await_recorders_than_the_server_names_at_once(rig: Rig) -> None:
    await publish(rig, rig.streams.outcomes, map(rig.streams.outcome_subject, addresses()))
    assert await rig.outbox.tasks("c1") == {each.id for each in addresses()}


async def test_more_notes_are_found_than_the_server_names_at_once(rig: Rig) -> None:
    notes = f"KV_{rig.streams.notes}"
    await publish(rig, notes, (f"$KV.{rig.streams.notes}.{WAITING}.{each.key}" for each in addresses()))
    filters = f"$KV.{rig.streams.notes}.{WAITING}.*.{token('c1')}.>"
    assert len(await subjects_of(rig.nats, notes, filters)) == MORE
    assert await number_of_subjects(rig.nats, notes, filters) == MORE


async def test_a_stream_that_is_gone_is_told_as_ever(rig: Rig) -> None:
    jetstream = await rig.jetstream()
    await jetstream.delete_stream(rig.streams.batches)
    with pytest.raises(QueueUnavailable):
        await subjects_of(rig.nats, rig.streams.batches, ">")


class Shrinking(Nats):
    """A server that names three at once, and of whose subjects some go after each answer."""

    def __init__(self, subjects: str, goes: list[str]) -> None:
        super().__init__(QueueConfig(url="nats://localhost"))
        self.subjects, self._goes = list(subjects), goes
        self.asked = 0

    async def request(self, subject: str, payload: bytes = b"") -> bytes:
        assert subject == "$JS.API.STREAM.INFO.s"
        self.asked += 1
        offset = cast("dict[str, Any]", json.loads(payload))["offset"]
        page = self.subjects[offset : offset + 3]
        answer = {"total": len(self.subjects), "state": {"subjects": dict.fromkeys(page, 1)} if page else {}}
        gone = self._goes.pop(0) if self._goes else ""
        self.subjects = [each for each in self.subjects if each not in gone]
        return json.dumps(answer).encode()


@pytest.mark.parametrize(
    "goes",
    [[], ["a"], ["abc"], ["ab", "cd", "e"], ["", "de"], ["abcdefghij"], ["b", "c", "d", "e", "f"], ["", "", "abcdef"]],
)
async def test_what_moves_up_meanwhile_is_not_left_out(goes: list[str]) -> None:
    nats = Shrinking("abcdefghij", list(goes))
    found = await subjects_of(nats, "s", ">")
    assert found == sorted(set(found))
    assert set("abcdefghij") - set("".join(goes)) <= set(found)
    assert nats.asked < 30
