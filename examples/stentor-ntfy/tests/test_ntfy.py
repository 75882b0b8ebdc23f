"""ntfy as a channel: the suite that all channels pass, messages as ntfy wants them, and a server of a few lines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from stentor_ntfy import wire
from stentor_ntfy.channel import CHANNEL, NtfyApp

from stentor.channels import Channel
from stentor.errors import CredentialError, InvalidMessage
from stentor.model import Message, Priority
from stentor.outcome import Verdict
from stentor.planning.content import Content
from stentor.providers.contract import Answer, Taken
from stentor.providers.http_message import Response
from stentor.providers.lane import CampaignContent
from stentor.simulators.tls import make_server_tls
from stentor.testing.channel import ChannelContract


class TestNtfy(ChannelContract):
    @pytest.fixture
    def channel(self) -> Channel:
        return CHANNEL

    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {}


def test_a_message_as_ntfy_wants_it() -> None:
    options = {"ntfy": {"tags": ["warning"], "markdown": True}}
    message = Message(title="T", body="B", image="https://a.example/i.png", priority=Priority.HIGH, options=options)
    request = wire.request("https://ntfy.example", "tk_1", wire.render(message), "news")
    assert request.headers["authorization"] == "Bearer tk_1"
    assert "tk_1" not in repr(request)
    assert json.loads(request.body) == {
        "topic": "news",
        "title": "T",
        "message": "B",
        "attach": "https://a.example/i.png",
        "priority": 4,
        "tags": ["warning"],
        "markdown": True,
    }


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (Message(), "body: ntfy shows texts alone"),
        (Message(body="ä" * 2049), "body: is 4,098 bytes, 4,096 are allowed"),
        (Message(body="B", options={"ntfy": {"tag": "x"}}), "options.ntfy: .*unknown field `tag`"),
        (Message(body="B", options={"ntfy": {"tags": "x"}}), r"options.ntfy: Expected `array`.*\$\.tags"),
    ],
)
def test_what_is_wrong_with_a_message_is_said(message: Message, said: str) -> None:
    with pytest.raises(InvalidMessage, match=said):
        wire.render(message)


def test_answers() -> None:
    assert wire.decode(Response(200, {}, b'{"id":"sPs71M8A2T"}'), 7.0) == Taken(at=7.0, id="sPs71M8A2T")
    found = wire.decode(Response(429, {"retry-after": "5"}, b'{"code":42901,"error":"limit reached"}'), 7.0)
    assert isinstance(found, Answer)
    assert (found.verdict, found.retry_after, found.detail) == (Verdict.RETRY, 5.0, "limit reached")


@asynccontextmanager
async def server(folder: Path, seen: list[dict[str, Any]]) -> AsyncIterator[NtfyApp]:
    """Takes everything but what is for the topic `reserved`."""

    async def handle(request: web.BaseRequest) -> web.Response:
        if request.headers.get("authorization") != "Bearer tk_good":
            return web.json_response({"code": 40101, "error": "unauthorized"}, status=401)
        message = await request.json()
        if message["topic"] == "reserved":
            return web.json_response({"code": 40301, "error": "forbidden"}, status=403)
        seen.append(message)
        return web.json_response({"id": f"m{len(seen)}"})

    tls = make_server_tls(folder, provider="ntfy", alpn=("http/1.1",))
    runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=0.01)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.context).start()
        token = folder / "token.txt"
        token.write_text("tk_good\n")
        yield NtfyApp(url=f"https://127.0.0.1:{runner.addresses[0][1]}", ca_file=tls.ca_file, token_file=token)
    finally:
        await runner.cleanup()


async def test_a_batch(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    async with server(tmp_path, seen) as app:
        lane = CHANNEL.open("alerts", app, lambda: 7.0)
        content = Content(message=Message(title="Hello {{ name }}"))
        campaign = CampaignContent(id="c1", content=content, started_at=0.0, collapse_id="c1")
        prepared = await lane.prepare(campaign)
        topics = [b"news", b"reserved", b"no topic", b"sports"]
        flight = await lane.begin(prepared, [b"1", b"2", b"3", b"4"], topics, None, [{"name": "Ada"}] * 4)
        await flight.done()
        assert flight.accepted() == b"\x01\0\0\x01"
        assert {index: answer.reason for index, answer in flight.answers(0.0).items()} == {
            1: "Forbidden",
            2: "MalformedAddress",
        }
        assert sorted(message["topic"] for message in seen) == ["news", "sports"]
        assert {message["title"] for message in seen} == {"Hello Ada"}

        assert app.token_file is not None
        app.token_file.write_text("tk_bad")
        assert await lane.reload()
        flight = await lane.begin(prepared, [b"1"], [b"news"], None, [{"name": "Ada"}])
        await flight.done()
        assert flight.answers(0.0)[0].verdict is Verdict.STOP
        app.token_file.write_text("two words")
        with pytest.raises(CredentialError, match=r"apps\.alerts\.token_file: .*must hold an access token"):
            await lane.reload()
        await lane.aclose()
