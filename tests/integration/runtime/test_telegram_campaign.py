"""A campaign to chats, from the registry and back: new ids written back, dead chats pruned, 429s obeyed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Selection
from stentor.cli.init import simulated
from stentor.config import Config
from stentor.model import Message, TelegramButton, TelegramOptions
from stentor.planning.content import Content, Translation
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.simulators.faults import Faults, parse_faults
from stentor.simulators.telegram import TelegramSetup, TelegramSimulator
from stentor.simulators.telegram.provider import TelegramProvider
from stentor.store.tables import installations

NEWS = Content(message=Message(title="Sale", body="Ends tonight"))


@asynccontextmanager
async def stentor_with(
    folder: Path, chats: Iterable[int], options: TelegramSetup, faults: Faults | None = None
) -> AsyncIterator[tuple[Stentor, TelegramSimulator]]:
    """With these chats registered."""
    rows = [{"id": f"c{chat}", "channel": "telegram", "address": str(chat)} for chat in chats]

    async def register(connection: AsyncConnection) -> None:
        await connection.execute(sa.insert(installations), rows)

    async with TelegramSimulator(options, faults=faults) as telegram:
        tables = {"store": {"url": f"sqlite:///{folder / 's.db'}"}, "apps": {"bot": simulated(telegram.facts())}}
        async with Stentor(Config.model_validate(tables)) as stentor:
            await stentor._resources.database.write(register)
            yield stentor, telegram


async def registered(stentor: Stentor) -> dict[str, str]:
    """The addresses of those who aren't known to be dead."""
    alive = sa.select(installations.c.id, installations.c.address).where(installations.c.dead_at.is_(None))
    async with stentor._resources.database.read() as connection:
        return {row.id: row.address for row in await connection.execute(alive)}


async def test_groups_that_moved_are_written_back_and_dead_chats_pruned(tmp_path: Path) -> None:
    faults = parse_faults({"devices": {"unregistered": 0.3}})
    options = TelegramSetup(per_second=1000.0, migrated=0.5)
    async with stentor_with(tmp_path, [*range(1, 11), *range(-10, 0)], options, faults) as (stentor, telegram):
        campaign = await stentor.campaigns.send(Draft(NEWS, Selection(source="registry")))
        report = await stentor.roles.run(campaign.id)
        assert report.total.pending == 0
        dead = {row.installation async for row in stentor.outcomes.failures(campaign.id)}
        assert 0 < len(dead) < 15
        after = await registered(stentor)
        moved = {key: address for key, address in after.items() if key != f"c{address}"}
        assert moved
        assert moved == {key: str(-1_000_000_000_000 + int(key[1:])) for key in moved}
        assert set(after) == {f"c{chat}" for chat in [*range(1, 11), *range(-10, 0)]} - dead
        assert sorted(telegram.ledger.addresses()) == sorted(after.values())
        assert (await stentor.outcomes.audit(campaign.id)).exact


async def test_a_429_makes_the_lane_wait_and_loses_nobody(tmp_path: Path) -> None:
    options = TelegramSetup(per_second=10.0)  # a third of what the lane thinks it may
    async with stentor_with(tmp_path, range(1, 19), options) as (stentor, telegram):
        campaign = await stentor.campaigns.send(Draft(NEWS, Selection(source="registry")))
        report = await stentor.roles.run(campaign.id)
        assert (report.total.accepted, telegram.ledger.duplicates) == (18, 0)
        assert sorted(map(int, telegram.ledger.addresses())) == list(range(1, 19))
        refused = telegram.summary()["rejected"]
        assert 0 < sum(refused.values()) < 10, "none were sent into its silence but those under way"


async def test_each_chat_is_told_in_its_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    button = TelegramButton(text="Show", url="https://example.com/sale")
    content = Content(
        message=Message(telegram=TelegramOptions(text="Ends tonight", buttons=((button,),))),
        translations={
            "de": Translation(
                telegram={"text": "Nur heute", "buttons": [[{"text": "Ja", "callback_data": "{{ id }}"}]]}
            ),
            "fr": Translation(telegram={"text": "Ce soir"}),
        },
    )
    told: dict[int, tuple[str, str]] = {}
    async with stentor_with(tmp_path, range(1, 5), TelegramSetup()) as (stentor, telegram):
        assert isinstance(telegram.provider, TelegramProvider)
        messages = telegram.provider.messages
        keep = messages.add

        def add(chat: int, now: float, said: bytes, *, photo: bool) -> int:
            text, keyboard = json.loads(said)
            (shown,) = keyboard["inline_keyboard"][0]
            told[chat] = text["text"], shown.get("callback_data", shown["text"])
            return keep(chat, now, said, photo=photo)

        monkeypatch.setattr(messages, "add", add)
        await speak(stentor, {"c2": "de-AT", "c3": "fr", "c4": "it"})
        campaign = await stentor.campaigns.send(Draft(content, Selection(source="registry")))
        assert (await stentor.roles.run(campaign.id)).total.accepted == 4
    assert told == {
        1: ("Ends tonight", "Show"),
        2: ("Nur heute", "c2"),
        3: ("Ce soir", "Show"),
        4: ("Ends tonight", "Show"),
    }


async def speak(stentor: Stentor, languages: Mapping[str, str]) -> None:
    """Have these installations read these languages."""
    which = installations.c.id == sa.bindparam("which")
    change = sa.update(installations).where(which).values(language=sa.bindparam("tag"))

    async def write(connection: AsyncConnection) -> None:
        await connection.execute(change, [{"which": each, "tag": tag} for each, tag in languages.items()])

    await stentor._resources.database.write(write)
