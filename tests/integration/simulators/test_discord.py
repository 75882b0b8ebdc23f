"""The Discord simulator: as strict as Discord, and another client (discord.py) gets on with it."""

from __future__ import annotations

import asyncio
import json
import ssl
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yarl

from stentor.simulators.discord import DiscordSetup, DiscordSimulator
from stentor.simulators.faults import Credential, Devices, Faults, Storm

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its voice part imports a module that later Pythons don't have
    import discord
    from discord.http import HTTPClient, MultipartParameters, Route

CHANNEL, USER, HOOK = "300000000000000001", "200000000000000001", "400000000000000001"
TOKEN = "abcdefghij-0123456789_ABCDEFGHIJ"
AGENT = "DiscordBot (https://example.com, 1)"


def trusting(simulator: DiscordSimulator) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=simulator.ca_file)


@pytest.fixture
async def simulator() -> AsyncIterator[DiscordSimulator]:
    async with DiscordSimulator() as one:
        yield one


class Client:
    """Plain HTTPS with a bot's headers."""

    def __init__(self, simulator: DiscordSimulator, session: aiohttp.ClientSession) -> None:
        self._simulator = simulator
        self._session = session

    async def ask(
        self, method: str, path: str, content: Any = None, *, token: str | None = None, agent: str = AGENT
    ) -> tuple[int, Any, dict[str, str]]:
        headers = {"Authorization": f"Bot {token or self._simulator.token}", "User-Agent": agent}
        data = content if isinstance(content, bytes | aiohttp.FormData) else None
        async with self._session.request(
            method,
            yarl.URL(f"{self._simulator.url}/api/v10{path}", encoded=True),
            json=None if data is not None else content,
            data=data,
            headers=headers,
        ) as found:
            body = await found.read()
            is_json = found.content_type == "application/json"
            said = {name.lower(): value for name, value in found.headers.items()}
            return found.status, json.loads(body) if is_json and body else body, said


@pytest.fixture
async def client(simulator: DiscordSimulator) -> AsyncIterator[Client]:
    connector = aiohttp.TCPConnector(ssl=trusting(simulator))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Client(simulator, session)


def message(text: str = "Sale", **more: Any) -> dict[str, Any]:
    return {"content": text, **more}


# Messages


async def test_a_message_is_taken_once_for_each_nonce(simulator: DiscordSimulator, client: Client) -> None:
    path = f"/channels/{CHANNEL}/messages"
    _, first, _ = await client.ask("POST", path, message(nonce="n1", enforce_nonce=True))
    _, again, _ = await client.ask("POST", path, message(nonce="n1", enforce_nonce=True))
    _, other, _ = await client.ask("POST", path, message(nonce="n1"))
    assert first["id"] == again["id"] != other["id"]
    assert [(entry.address, entry.dedup_id) for entry in simulator.ledger] == [(CHANNEL, "n1"), (CHANNEL, "n1")]
    simulator.clock.advance(301)
    _, later, _ = await client.ask("POST", path, message(nonce="n1", enforce_nonce=True))
    assert later["id"] not in (first["id"], other["id"]), "it remembers a nonce for some minutes"
    assert simulator.summary()["duplicates"] == 2


V2 = 1 << 15
ROW = {"type": 1, "components": [{"type": 2, "style": 5, "label": "Go", "url": "https://example.com"}]}
POLL = {"question": {"text": "When?"}, "answers": [{"poll_media": {"text": "Now"}}], "duration": 2}


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ({"components": [ROW]}, {"components": [ROW]}),
        ({"flags": V2, "components": [{"type": 10, "content": "Sale"}]}, {"flags": V2}),
        ({"sticker_ids": ["749054660769218631"]}, {}),
        ({"poll": POLL}, {}),
        ({"message_reference": {"type": 1, "message_id": "1", "channel_id": CHANNEL}}, {}),
    ],
)
async def test_messages_without_text(client: Client, content: dict[str, Any], shown: dict[str, Any]) -> None:
    status, posted, _ = await client.ask("POST", f"/channels/{CHANNEL}/messages", content)
    assert (status, posted["content"]) == (200, "")
    assert posted | shown == posted
    if "poll" in content:
        assert [each["answer_id"] for each in posted["poll"]["answers"]] == [1]
    if "sticker_ids" in content:
        assert posted["sticker_items"][0]["id"] == content["sticker_ids"][0]


@pytest.mark.parametrize("place", [f"/channels/{CHANNEL}/messages", f"/webhooks/{HOOK}/{TOKEN}?wait=true"])
async def test_files_come_as_a_multipart_form(client: Client, place: str) -> None:
    async def upload(fields: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
        form = aiohttp.FormData(fields)
        form.add_field("files[0]", b"\x89PNG", filename="a.png", content_type="image/png")
        status, posted, _ = await client.ask("POST", place, form)
        assert (status, posted["content"]) == (200, "Sale" if fields else "")
        [file] = posted["attachments"]
        assert (file["filename"], file["size"], file["content_type"]) == ("a.png", 4, "image/png")
        return posted, file

    await upload({"content": "Sale"})
    await upload({})
    posted, file = await upload({"payload_json": json.dumps(message())})
    path = f"{place.partition('?')[0].removesuffix('/messages')}/messages/{posted['id']}"
    _, edited, _ = await client.ask("PATCH", path, {"content": "Over"})
    assert [each["id"] for each in edited["attachments"]] == [file["id"]]
    _, edited, _ = await client.ask("PATCH", path, {"attachments": []})
    assert (edited["content"], edited["attachments"]) == ("Over", [])


async def test_a_bot_learns_about_itself_however_the_path_is_written(client: Client) -> None:
    """discord.js and hikari write `%40me`; hikari reads `flags` and `mfa_enabled`."""
    for path in ("/users/@me", "/users/%40me"):
        status, me, _ = await client.ask("GET", path)
        assert (status, me["bot"]) == (200, True)
        assert {"flags", "mfa_enabled", "verified", "locale", "global_name"} <= me.keys()


async def test_a_conversation(simulator: DiscordSimulator, client: Client) -> None:
    _, opened, _ = await client.ask("POST", "/users/@me/channels", {"recipient_id": USER})
    _, again, _ = await client.ask("POST", "/users/@me/channels", {"recipient_id": USER})
    assert opened["id"] == again["id"]
    await client.ask("POST", f"/channels/{opened['id']}/messages", message())
    assert simulator.ledger.addresses() == [f"user:{USER}"]


async def test_webhooks_with_and_without_waiting(simulator: DiscordSimulator, client: Client) -> None:
    status, posted, _ = await client.ask("POST", f"/webhooks/{HOOK}/{TOKEN}?wait=true", message(username="Herald"))
    assert (status, posted["author"]["username"]) == (200, "Herald")
    status, nothing, _ = await client.ask("POST", f"/webhooks/{HOOK}/{TOKEN}", message())
    assert (status, nothing) == (204, b"")
    assert len(simulator.ledger) == 2


@pytest.mark.parametrize("place", [f"/channels/{CHANNEL}", f"/webhooks/{HOOK}/{TOKEN}"])
async def test_edits_and_deletions(simulator: DiscordSimulator, client: Client, place: str) -> None:
    send = f"{place}/messages" if "channels" in place else f"{place}?wait=true"
    _, posted, _ = await client.ask("POST", send, message())
    path = f"{place}/messages/{posted['id']}"
    _, edited, _ = await client.ask("PATCH", path, message("Sorry"))
    assert (edited["id"], edited["content"]) == (posted["id"], "Sorry")
    assert (await client.ask("DELETE", path))[0] == 204
    status, gone, _ = await client.ask("DELETE", path)
    assert (status, gone["code"]) == (404, 10008)
    assert (simulator.summary()["edited"], simulator.summary()["deleted"]) == (1, 1)


async def test_many_are_deleted_at_once_but_no_old_ones(simulator: DiscordSimulator, client: Client) -> None:
    path = f"/channels/{CHANNEL}/messages"
    ids = [(await client.ask("POST", path, message()))[1]["id"] for _ in range(3)]
    assert (await client.ask("POST", f"{path}/bulk-delete", {"messages": ids[:1]}))[1]["code"] == 50035
    simulator.clock.advance(10)
    assert (await client.ask("POST", f"{path}/bulk-delete", {"messages": ids[:2]}))[0] == 204
    simulator.clock.advance(15 * 86_400)
    assert (await client.ask("POST", f"{path}/bulk-delete", {"messages": ids[1:]}))[1]["code"] == 50034
    assert simulator.summary()["deleted"] == 2


@pytest.mark.parametrize(
    ("content", "code", "field"),
    [
        (message(""), 50006, ""),
        (message("x" * 2001), 50035, "content"),
        (message(nonce="x" * 26), 50035, "nonce"),
        (message(embeds=[{"title": "x" * 257}]), 50035, "embeds"),
        (message(embeds=[{"description": "x" * 3001}] * 2), 50035, "embeds"),
        (message(embeds=[{"title": "x"}] * 11), 50035, "embeds"),
        (message(embeds=[{"fields": [{"name": "n"}]}]), 50035, "embeds"),
        (message(components=[ROW] * 6), 50035, "components"),
        (message(components=[{}]), 50035, "components"),
        (message(components=[ROW], flags=V2), 50035, "content"),
        (message(sticker_ids=["1"] * 4), 50035, "sticker_ids"),
        (message(poll={"question": {"text": "x" * 301}, "answers": []}), 50035, "poll"),
        (message(poll={"question": {}, "answers": [{"poll_media": {"text": "x" * 56}}, {}]}), 50035, "poll"),
        (message(poll="x"), 50035, "poll"),
        ({"message_reference": {"message_id": "1"}}, 50006, ""),
        (b"no JSON", 50109, ""),
    ],
)
async def test_what_is_wrong_with_a_message(client: Client, content: Any, code: int, field: str) -> None:
    status, said, _ = await client.ask("POST", f"/channels/{CHANNEL}/messages", content)
    assert (status, said["code"]) == (400, code)
    assert not field or field in said["errors"]


# Limits


async def test_buckets_are_shared_by_routes_and_kept_for_each_channel(client: Client) -> None:
    path = f"/channels/{CHANNEL}/messages"
    _, posted, told = await client.ask("POST", path, message())
    assert (told["x-ratelimit-limit"], told["x-ratelimit-remaining"]) == ("5", "4")
    _, _, edited = await client.ask("PATCH", f"{path}/{posted['id']}", message("x"))
    assert (edited["x-ratelimit-bucket"], edited["x-ratelimit-remaining"]) == (told["x-ratelimit-bucket"], "3")
    for _ in range(3):
        await client.ask("POST", path, message())
    status, said, told = await client.ask("POST", path, message())
    assert (status, told["x-ratelimit-scope"], told["x-ratelimit-remaining"]) == (429, "user", "0")
    assert 0 < said["retry_after"] <= 5
    assert isinstance(said["retry_after"], float)
    assert not said["global"]
    assert (await client.ask("POST", f"/channels/{int(CHANNEL) + 1}/messages", message()))[0] == 200


async def test_the_global_limit(client: Client) -> None:
    found = [await client.ask("POST", f"/channels/{int(CHANNEL) + each}/messages", message()) for each in range(51)]
    limited = [(said["global"], told["x-ratelimit-scope"]) for status, said, told in found if status == 429]
    assert set(limited) <= {(True, "global")}
    assert sum(status == 200 for status, _, _ in found) >= 50


async def test_refusals_bring_a_ban_at_last(client: Client, simulator: DiscordSimulator) -> None:
    async with DiscordSimulator(DiscordSetup(invalid_limit=3)) as strict:
        one = Client(strict, client._session)
        strict.faults = Faults(devices=Devices(throttled=1.0))
        for _ in range(3):
            assert (await ask_unverified(one, strict))[0] == 429
        assert strict.summary()["invalid_requests"] == 0, "what others are to blame for doesn't count"
        strict.faults = Faults(devices=Devices(wrong_app=1.0))
        assert [(await ask_unverified(one, strict))[0] for _ in range(2)] == [403, 403]
        assert (await ask_unverified(one, strict, token="wrong"))[0] == 401
        strict.faults = Faults()
        status, page, told = await ask_unverified(one, strict)
        assert (status, b"Cloudflare" in page, "x-ratelimit-scope" in told) == (429, True, False)
        strict.clock.advance(3601)
        assert (await ask_unverified(one, strict))[0] == 200
        assert (strict.summary()["bans"], strict.summary()["most_invalid_in_ten_minutes"]) == (1, 4)


async def ask_unverified(client: Client, simulator: DiscordSimulator, **more: Any) -> tuple[int, Any, dict[str, str]]:
    """A request for a channel that no other request of the test was for."""
    simulator.clock.advance(6)
    connector = aiohttp.TCPConnector(ssl=trusting(simulator))
    async with aiohttp.ClientSession(connector=connector) as session:
        return await Client(simulator, session).ask("POST", f"/channels/{CHANNEL}/messages", message(), **more)


async def test_who_may_ask(simulator: DiscordSimulator, client: Client) -> None:
    assert (await client.ask("GET", "/users/@me"))[1]["username"] == "Rehearsal"
    assert (await client.ask("GET", "/users/@me", token="wrong"))[0] == 401
    assert (await client.ask("GET", "/users/@me", agent="curl/8"))[0] == 403
    assert (await client.ask("GET", "/guilds/1"))[0] == 404
    simulator.faults = Faults(credential=Credential(revoke_at_s=0.000001))
    assert (await client.ask("GET", "/users/@me"))[0] == 401


async def test_trouble(simulator: DiscordSimulator, client: Client) -> None:
    simulator.faults = Faults(storm=Storm(for_s=900.0, scope="token"))
    status, said, told = await client.ask("POST", f"/channels/{CHANNEL}/messages", message())
    assert (status, said["retry_after"], told["x-ratelimit-scope"]) == (429, 1.234, "user")


async def test_the_same_seed_gives_the_same_fates(client: Client, tmp_path: Path) -> None:
    faults = Faults(devices=Devices(wrong_app=0.3))
    fates = []
    for _ in range(2):
        async with DiscordSimulator(DiscordSetup(requests_per_second=1000), seed=7, faults=faults) as seeded:
            connector = aiohttp.TCPConnector(ssl=trusting(seeded))
            async with aiohttp.ClientSession(connector=connector) as session:
                one = Client(seeded, session)
                paths = [f"/channels/{int(CHANNEL) + each}/messages" for each in range(60)]
                fates.append([(await one.ask("POST", path, message()))[0] for path in paths])
    assert fates[0] == fates[1]
    assert 8 <= fates[0].count(403) <= 30


# Another client


@pytest.fixture
async def http(simulator: DiscordSimulator, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HTTPClient]:
    """discord.py's client for the REST API, logged in."""
    monkeypatch.setattr(Route, "BASE", f"{simulator.url}/api/v10")
    connector = aiohttp.TCPConnector(ssl=trusting(simulator))
    client = HTTPClient(asyncio.get_running_loop(), connector=connector)
    user = await client.static_login(simulator.token)
    assert user["username"] == "Rehearsal"
    yield client
    await client.close()


def parameters(**payload: Any) -> MultipartParameters:
    return MultipartParameters(payload=payload, multipart=None, files=None)


async def test_discord_py_as_a_bot(simulator: DiscordSimulator, http: HTTPClient) -> None:
    posted = await http.send_message(int(CHANNEL), params=parameters(content="Sale", nonce="n", enforce_nonce=True))
    opened = await http.start_private_message(int(USER))
    await http.send_message(opened["id"], params=parameters(content="Sale"))
    edited = await http.edit_message(int(CHANNEL), posted["id"], params=parameters(content="Sorry"))
    assert (edited["id"], edited["content"]) == (posted["id"], "Sorry")
    others = [(await http.send_message(int(CHANNEL), params=parameters(content="x")))["id"] for _ in range(2)]
    await http.delete_messages(int(CHANNEL), others)
    await http.delete_message(int(CHANNEL), posted["id"])
    with pytest.raises(discord.NotFound, match="10008"):
        await http.delete_message(int(CHANNEL), posted["id"])
    summary = simulator.summary()
    assert (summary["accepted"], summary["edited"], summary["deleted"]) == (4, 1, 3)
    assert [entry.address for entry in simulator.ledger][:2] == [CHANNEL, f"user:{USER}"]


async def test_discord_py_meets_refusals(simulator: DiscordSimulator, http: HTTPClient) -> None:
    simulator.faults = Faults(devices=Devices(wrong_app=1.0))
    with pytest.raises(discord.Forbidden, match="50001"):
        await http.send_message(int(CHANNEL), params=parameters(content="x"))
    simulator.faults = Faults(devices=Devices(unregistered=1.0))
    with pytest.raises(discord.NotFound, match="10003"):
        await http.send_message(int(CHANNEL), params=parameters(content="x"))
    simulator.faults = Faults()
    with pytest.raises(discord.HTTPException, match="In content: Must be 2000 or fewer"):
        await http.send_message(int(CHANNEL), params=parameters(content="x" * 2001))


async def test_discord_py_keeps_to_the_buckets(simulator: DiscordSimulator, http: HTTPClient) -> None:
    simulator.discord.options = DiscordSetup(messages=2, messages_period_s=0.3)
    for _ in range(5):
        await http.send_message(int(CHANNEL), params=parameters(content="x"))
    assert simulator.summary()["rejected"] == {}, "it understands the headers as it does Discord's"


async def test_discord_py_as_a_webhook(simulator: DiscordSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Route, "BASE", f"{simulator.url}/api/v10")
    connector = aiohttp.TCPConnector(ssl=trusting(simulator))
    async with aiohttp.ClientSession(connector=connector) as session:
        webhook = discord.Webhook.partial(int(HOOK), TOKEN, session=session)
        embed = discord.Embed(title="Sale", description="Ends tonight")
        posted = await webhook.send("Sale", username="Herald", embed=embed, wait=True)
        assert (posted.content, posted.author.name, posted.embeds[0].title) == ("Sale", "Herald", "Sale")
        assert (await posted.edit(content="Sorry")).content == "Sorry"
        await posted.delete()
        await webhook.send("x")
        with pytest.raises(discord.NotFound):
            await webhook.delete_message(posted.id)
    assert simulator.summary()["accepted"] == 2
