"""API keys on both databases: made, recognized, rolled, revoked."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from stentor.access import keys
from stentor.access.caller import Caller
from stentor.access.key_text import new_key
from stentor.access.keys import (
    AT_ONCE,
    KNOWN_FOR,
    LONGEST_OVERLAP,
    IssuedKey,
)
from stentor.access.scopes import Scope
from stentor.errors import Forbidden, InvalidInput, InvalidState, StoreUnavailable, UnknownKey
from stentor.store.tables import actions, api_keys, key_secrets
from tests.integration.access.house import LOCAL, NOW, House


async def made(house: House, scope: Scope = Scope.SEND, expires_at: float | None = None) -> IssuedKey:
    return await house.keys.create(LOCAL, "shop", scope, expires_at=expires_at)


def look_ups(statements: list[str]) -> int:
    """How often keys were looked up by their text."""
    return sum(each.startswith("SELECT stentor_key_secrets") for each in statements)


async def test_a_key_is_recognized_in_every_process(house: House) -> None:
    issued = await made(house)
    caller = Caller(issued.key.id, "shop", "key", Scope.SEND)
    assert await house.keys.authenticate(issued.text) == caller
    assert await house.neighbour().keys.authenticate(issued.text) == caller
    assert await house.keys.authenticate(new_key()) is None


async def test_only_the_hash_is_kept_and_no_repr_shows_the_text(house: House) -> None:
    issued = await made(house)
    everything = [await house.rows(table) for table in (api_keys, key_secrets, actions)]
    assert issued.text not in repr(everything)
    assert issued.text[-20:] not in repr(everything)
    assert hashlib.sha256(issued.text.encode()).hexdigest() in repr(everything)
    assert issued.text not in repr(issued)


async def test_thousands_of_requests_ask_the_store_once_in_a_while(house: House) -> None:
    issued = await made(house)
    asked = house.statements()
    for _ in range(50):
        assert await house.keys.authenticate(issued.text) is not None
    assert await house.neighbour().keys.authenticate(issued.text) is not None
    assert look_ups(asked) == 2  # one for each process
    house.clock.now += KNOWN_FOR
    assert all(await asyncio.gather(*(house.keys.authenticate(issued.text) for _ in range(100))))
    assert look_ups(asked) == 3


async def test_a_malformed_key_costs_no_look_up(house: House) -> None:
    issued = await made(house)
    asked = house.statements()
    for text in ("", "Bearer x", issued.text[:-1], issued.text[:-1] + "é", issued.text.lower(), "x" * 10_000):
        assert await house.keys.authenticate(text) is None
    assert asked == []


async def test_keys_that_do_not_exist_are_remembered_apart_and_bounded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "REFUSALS_REMEMBERED", 5)
    issued = await made(house)
    await house.keys.authenticate(issued.text)
    wrong = new_key()
    asked = house.statements()
    for _ in range(10):
        assert await house.keys.authenticate(wrong) is None
    assert look_ups(asked) == 1
    for _ in range(20):
        await house.keys.authenticate(new_key())
    assert len(house.keys._refused) == 5
    assert await house.keys.authenticate(issued.text) is not None
    assert look_ups(asked) == 21


async def test_a_flood_of_made_up_keys_leaves_connections_free(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, at_once, most = house.database.rows, 0, 0

    async def counted(*question: object) -> object:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            return await rows(*question)  # type: ignore[arg-type]
        finally:
            at_once -= 1

    monkeypatch.setattr(house.database, "rows", counted)
    assert await asyncio.gather(*(house.keys.authenticate(new_key()) for _ in range(40))) == [None] * 40
    assert most == AT_ONCE


async def test_who_asks_and_goes_away_spoils_nothing_for_others(house: House) -> None:
    issued = await made(house)
    first, second = (asyncio.create_task(house.keys.authenticate(issued.text)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    caller = await second
    assert caller is not None
    assert first.cancelled()


async def test_a_revoked_key_is_refused_at_once_here_and_soon_elsewhere(house: House) -> None:
    issued, other = await made(house), house.neighbour()
    assert await house.keys.authenticate(issued.text)
    assert await other.keys.authenticate(issued.text)
    revoked = await house.keys.revoke(LOCAL, issued.key.id)
    assert revoked.revoked_at == NOW
    assert await house.keys.authenticate(issued.text) is None
    assert KNOWN_FOR <= 5
    house.clock.now += KNOWN_FOR
    assert await other.keys.authenticate(issued.text) is None
    house.clock.now += 10
    assert (await house.keys.revoke(LOCAL, issued.key.id)).revoked_at == NOW
    assert await house.did() == [("key.create", "done"), ("key.revoke", "done")]


async def test_an_answer_from_before_a_revocation_is_not_remembered(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = await made(house)
    rows, found, go = house.database.rows, asyncio.Event(), asyncio.Event()

    async def slow(*question: object) -> object:
        answer = await rows(*question)  # type: ignore[arg-type]
        found.set()
        await go.wait()
        return answer

    monkeypatch.setattr(house.database, "rows", slow)
    asking = asyncio.create_task(house.keys.authenticate(issued.text))
    await found.wait()
    await house.keys.revoke(LOCAL, issued.key.id)
    go.set()
    await asking
    assert await house.keys.authenticate(issued.text) is None


async def test_a_key_ends_when_it_expires(house: House) -> None:
    issued = await made(house, expires_at=NOW + 2)
    assert await house.keys.authenticate(issued.text)
    house.clock.now += 2
    assert await house.keys.authenticate(issued.text) is None
    for past in (NOW, NOW - 1, float("nan")):
        with pytest.raises(InvalidInput, match="expires_at: is in the past"):
            await made(house, expires_at=past)


async def test_a_rolled_key_keeps_its_id_and_its_old_text_for_a_while(house: House) -> None:
    issued, other = await made(house), house.neighbour()
    assert await other.keys.authenticate(issued.text)
    rolled = await house.keys.roll(LOCAL, issued.key.id, overlap=100)
    assert rolled.key.id == issued.key.id
    assert rolled.key.old_until == NOW + 100
    for text in (issued.text, rolled.text):
        assert (await house.keys.authenticate(text)) == Caller(issued.key.id, "shop", "key", Scope.SEND)
    house.clock.now += 100
    for each in (house, other):
        assert await each.keys.authenticate(issued.text) is None
        assert await each.keys.authenticate(rolled.text)
    assert (await house.keys.find(LOCAL, "shop")).old_until is None


async def test_a_second_roll_prolongs_nothing(house: House) -> None:
    issued = await made(house)
    second = await house.keys.roll(LOCAL, issued.key.id, overlap=10)
    third = await house.keys.roll(LOCAL, issued.key.id, overlap=1000)
    house.clock.now += 10
    assert await house.keys.authenticate(issued.text) is None
    assert await house.keys.authenticate(second.text)
    last = await house.keys.roll(LOCAL, issued.key.id, overlap=0)
    assert await house.keys.authenticate(second.text) is None
    assert await house.keys.authenticate(third.text) is None
    assert await house.keys.authenticate(last.text)
    await house.keys.roll(LOCAL, issued.key.id, overlap=0)
    assert len(await house.rows(key_secrets)) <= 2  # what has ended is deleted with the next roll


async def test_two_who_roll_at_once_get_two_texts_that_both_are_valid(house: House) -> None:
    issued, other = await made(house), house.neighbour()
    first, second = await asyncio.gather(house.keys.roll(LOCAL, issued.key.id), other.keys.roll(LOCAL, issued.key.id))
    for text in (issued.text, first.text, second.text):
        assert await house.neighbour().keys.authenticate(text)


async def test_what_is_over_cannot_be_rolled(house: House) -> None:
    issued = await made(house, expires_at=NOW + 10)
    for overlap in (-1.0, LONGEST_OVERLAP + 1, float("nan")):
        with pytest.raises(InvalidInput, match="overlap: must be"):
            await house.keys.roll(LOCAL, issued.key.id, overlap=overlap)
    house.clock.now += 10
    with pytest.raises(InvalidState, match="has expired"):
        await house.keys.roll(LOCAL, issued.key.id)
    await house.keys.revoke(LOCAL, issued.key.id)
    with pytest.raises(InvalidState, match="revoked"):
        await house.keys.roll(LOCAL, issued.key.id)
    with pytest.raises(UnknownKey):
        await house.keys.roll(LOCAL, "nobody")
    with pytest.raises(UnknownKey):
        await house.keys.revoke(LOCAL, "nobody")


async def test_when_a_key_was_last_used_is_noted_once_a_minute(house: House) -> None:
    issued = await made(house)
    asked = house.statements()

    async def used() -> tuple[float | None, float | None]:
        await house.keys.aclose()  # waits for what is being noted
        found = await house.keys.find(LOCAL, "shop")
        return found.last_used_at, found.old_used_at

    for seconds in (0, 30, 59):
        house.clock.now = NOW + seconds
        await house.keys.authenticate(issued.text)
        assert await used() == (NOW, None)
    updates = [text for text in asked if text.startswith("UPDATE")]
    assert len(updates) == 2  # of the key and of its text
    house.clock.now = NOW + 61
    await house.keys.authenticate(issued.text)
    assert await used() == (NOW + 61, None)
    rolled = await house.keys.roll(LOCAL, issued.key.id)
    house.clock.now = NOW + 200
    await house.keys.authenticate(rolled.text)
    assert await used() == (NOW + 200, NOW + 61)


async def test_a_note_that_cannot_be_written_holds_nobody_up(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    issued = await made(house)

    async def away(_change: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(house.database, "write", away)
    assert await house.keys.authenticate(issued.text)
    await house.keys.aclose()
    assert f"When the key {issued.key.id} was last used could not be noted" in caplog.text
    assert issued.text not in caplog.text


async def test_without_the_store_nobody_is_believed_for_longer(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    issued = await made(house)
    assert await house.keys.authenticate(issued.text)

    async def away(*_question: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(house.database, "rows", away)
    assert await house.keys.authenticate(issued.text)
    house.clock.now += KNOWN_FOR
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await house.keys.authenticate(issued.text)


async def test_keys_are_found_by_id_or_by_a_name_that_is_theirs_alone(house: House) -> None:
    first = await made(house)
    assert (await house.keys.find(LOCAL, "shop")).id == first.key.id
    second = await made(house)
    with pytest.raises(UnknownKey, match=f"several keys are named 'shop': .*{first.key.id}"):
        await house.keys.find(LOCAL, "shop")
    await house.keys.revoke(LOCAL, second.key.id)
    assert (await house.keys.find(LOCAL, "shop")).id == first.key.id
    assert (await house.keys.find(LOCAL, second.key.id)).revoked_at is not None
    with pytest.raises(UnknownKey, match="there is no API key 'bank'"):
        await house.keys.find(LOCAL, "bank")


async def test_keys_are_listed_page_by_page(house: House) -> None:
    ids = {(await made(house)).key.id for _ in range(5)}
    first = await house.keys.page(LOCAL, limit=3)
    second = await house.keys.page(LOCAL, after=first[-1].id, limit=3)
    assert [len(first), len(second)] == [3, 2]
    assert {each.id for each in [*first, *second]} == ids


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\x1bb"])
async def test_a_name_is_printable(house: House, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"^name: must be 1 to 100 printable characters"):
        await house.keys.create(LOCAL, name, Scope.VIEW)


async def test_only_an_admin_manages_keys(house: House) -> None:
    sender = Caller("k", "shop", "key", Scope.SEND)
    for refused in (
        house.keys.create(sender, "x", Scope.VIEW),
        house.keys.page(sender),
        house.keys.find(sender, "x"),
        house.keys.roll(sender, "x"),
        house.keys.revoke(sender, "x"),
    ):
        with pytest.raises(Forbidden):
            await refused
    assert await house.did() == []
