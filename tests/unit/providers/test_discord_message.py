"""A message as Discord writes it: text, embeds, flags, and what is too long."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stentor.errors import InvalidMessage
from stentor.model import DiscordOptions, Message
from stentor.providers.discord.message import escape, render
from stentor.providers.payload import PayloadTooLarge

IMAGE = "https://example.com/i.png"


def made(message: Message, whom: str = "bot") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(getattr(render(message), whom) + b"}")
    return found


def options(**given: Any) -> Message:
    return Message(discord=DiscordOptions(**given))


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (Message(title="Sale", body="Tonight"), "**Sale**\nTonight"),
        (Message(title="Sale"), "**Sale**"),
        (Message(body="Tonight"), "Tonight"),
        (Message(title="t", body="b", discord=DiscordOptions(content="*mine*")), "*mine*"),
    ],
)
def test_text(message: Message, text: str) -> None:
    assert made(message) == {"content": text, "embeds": [], "allowed_mentions": {"parse": []}}


@pytest.mark.parametrize(
    ("plain", "escaped"),
    [
        ("a_b*c~d|e`f\\g", "a\\_b\\*c\\~d\\|e\\`f\\\\g"),
        ("# head\n> quote\n- item\n1. one", "\\# head\n\\> quote\n\\- item\n1\\. one"),
        ("<@123> @everyone [x](y)", "\\<@123\\> @everyone \\[x\\](y)"),
        ("see https://example.com/a_b*c and_d", "see https://example.com/a_b*c and\\_d"),
        ("3.5 % of 1. and 2.", "3.5 % of 1. and 2."),
    ],
)
def test_markdown_is_shown_as_it_was_written(plain: str, escaped: str) -> None:
    assert escape(plain) == escaped


def test_an_image_makes_an_embed() -> None:
    assert made(Message(title="T_", body="b", image=IMAGE)) == {
        "content": "",
        "embeds": [{"title": "T\\_", "description": "b", "image": {"url": IMAGE}}],
        "allowed_mentions": {"parse": []},
    }


def test_embeds_of_ones_own() -> None:
    message = Message(title="T", body="b", discord=DiscordOptions(embeds=({"title": "*E*", "color": 255},)))
    assert (made(message)["content"], made(message)["embeds"]) == ("**T**\nb", [{"title": "*E*", "color": 255}])


def test_flags_names_and_mentions() -> None:
    message = options(content="x", silent=True, suppress_embeds=True, username="Herald", avatar_url=IMAGE)
    assert made(message)["flags"] == 4096 + 4
    assert made(message, "edit")["flags"] == 4, "what is there notifies nobody anyway"
    assert "username" not in made(message)
    assert (made(message, "webhook")["username"], made(message, "webhook")["avatar_url"]) == ("Herald", IMAGE)
    assert made(Message(body="x", silent=True))["flags"] == 4096
    assert "flags" not in made(Message(body="x", silent=True, discord=DiscordOptions(silent=False)))
    mentions = {"parse": ["everyone"]}
    assert made(options(content="@everyone", allowed_mentions=mentions))["allowed_mentions"] == mentions


def embed(**parts: Any) -> Message:
    return options(embeds=(parts,))


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (Message(body="x" * 2001), "body"),
        (Message(body="_" * 1001), "body"),
        (options(content="x" * 2001), "discord.content"),
        (Message(title="x" * 257, image=IMAGE), "title"),
        (Message(body="x" * 4097, image=IMAGE), "body"),
        (embed(title="x" * 257), "discord.embeds.0.title"),
        (embed(description="x" * 4097), "discord.embeds.0.description"),
        (embed(footer={"text": "x" * 2049}), "discord.embeds.0.footer.text"),
        (embed(author={"name": "x" * 257}), "discord.embeds.0.author.name"),
        (embed(fields=[{"name": "n", "value": "x" * 1025}]), "discord.embeds.0.fields.0.value"),
        (options(embeds=({"description": "x" * 3001}, {"description": "x" * 3000})), "discord.embeds"),
    ],
)
def test_too_long(message: Message, field: str) -> None:
    with pytest.raises(PayloadTooLarge) as caught:
        render(message)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (Message(), "body"),
        (Message(body=" \n"), "body"),
        (Message(body="x", image="ftp://x"), "image"),
        (options(content="x", username=""), "discord.username"),
        (options(content="x", username="x" * 81), "discord.username"),
        (options(embeds=({"title": "x"},) * 11), "discord.embeds"),
        (embed(titel="x"), "discord.embeds.0.titel"),
        (embed(title=5), "discord.embeds.0.title"),
        (embed(footer="x"), "discord.embeds.0.footer"),
        (embed(fields=[{"name": "n"}]), "discord.embeds.0.fields.0.value"),
        (embed(fields=["x"]), "discord.embeds.0.fields.0"),
        (embed(fields=[{"name": "n", "value": "v"}] * 26), "discord.embeds.0.fields"),
    ],
)
def test_what_discord_would_refuse(message: Message, field: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        render(message)
    assert caught.value.field == field


def test_just_as_long_as_it_may_be() -> None:
    assert len(made(Message(body="x" * 2000))["content"]) == 2000
    fields = [{"name": "n" * 256, "value": "v" * 1024}] * 3
    assert made(options(embeds=({"title": "t" * 160, "description": "d" * 2000, "fields": fields},)))["embeds"]
    assert 160 + 2000 + 3 * 1280 == 6000
