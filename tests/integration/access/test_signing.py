"""The signing key, sealed values and tokens for forms, over several processes."""

from __future__ import annotations

import asyncio

from stentor.access.signing import SIZE, Signer, derive, seal, signing_key, unseal
from stentor.store.database import Database
from tests.integration.access.house import NOW, House


async def test_all_processes_get_the_same_key(database: Database, database_url: str) -> None:
    others = [Database.open(database_url, connections=1) for _ in range(4)]
    keys = await asyncio.gather(*(signing_key(each) for each in (database, *others, database)))
    assert len(set(keys)) == 1
    assert len(keys[0]) == SIZE
    assert await signing_key(database) == keys[0]
    assert await Signer(others[0]).key("x") == await Signer(others[1]).key("x") != await Signer(others[1]).key("y")
    for each in others:
        await each.aclose()


async def test_what_is_sealed_comes_back_until_its_time_is_over() -> None:
    key = derive(b"k" * 32, "cursor")
    sealed = seal(key, b"page 2", NOW + 10)
    assert unseal(key, sealed, NOW) == b"page 2"
    assert unseal(key, sealed, NOW + 10) is None
    assert unseal(derive(b"k" * 32, "csrf"), sealed, NOW) is None
    assert unseal(derive(b"l" * 32, "cursor"), sealed, NOW) is None
    for position in range(len(sealed)):
        other = "A" if sealed[position] != "A" else "Q"
        assert unseal(key, sealed[:position] + other + sealed[position + 1 :], NOW) is None, position
    for wrong in ("", "x", sealed[:-1], sealed + "AAAA", sealed + "\n", "é" * 60, "A" * 100_000):
        assert unseal(key, wrong, NOW) is None


async def test_a_token_is_good_for_one_session_in_every_process(house: House) -> None:
    token = await house.csrf.token("session")
    other = house.neighbour().csrf
    assert await other.holds("session", token)
    assert await house.csrf.holds("session", await other.token("session"))
    assert not await other.holds("another", token)
    assert not await other.holds("", await other.token(""))
    flipped = "A" if token[0] != "A" else "Q"
    assert await house.csrf.token("session") != token  # each page has its own
    for wrong in (
        "",
        "x",
        token[:-1],
        token + "A",
        "é" * len(token),
        token[:-2] + "AA",
        flipped + token[1:],
        "A" * 100_000,
    ):
        assert not await other.holds("session", wrong)


async def test_a_new_sign_in_makes_older_tokens_worthless(house: House) -> None:
    await house.user()
    first = await house.sign_in()
    token = await house.csrf.token(first.token)
    second = await house.sign_in(previous=first.token)
    assert not await house.csrf.holds(second.token, token)


async def test_the_key_is_in_no_repr(house: House) -> None:
    key = await signing_key(house.database)
    await house.signer.key("x")
    assert repr(key) not in f"{house.signer!r} {house.csrf!r}"
