"""What a message that is still being written becomes on each channel and in each language."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stentor.config import Config
from stentor.model import DiscordOptions, Message
from stentor.planning.content import Content, Translation
from stentor.runtime import renditions
from stentor.runtime.renditions import Composition, LaneRendition, MessageProblem
from stentor.runtime.stentor import Stentor

NOWHERE = "no-such-file"
APNS = {"channel": "apns", "key_file": NOWHERE, "key_id": "ABCDE12345", "team_id": "ABCDE12345"}
APPS: dict[str, Any] = {
    "pad": {**APNS, "topic": "com.example.pad"},
    "ios": {**APNS, "topic": "com.example", "default": True},
    "bot": {"channel": "telegram", "token_file": NOWHERE},
    "guild": {"channel": "discord"},
}
GREETING = Content(
    message=Message(title="Hello {{ name }}", body="{{ n * 2 }} new"),
    translations={"de": Translation(title="Hallo {{ name }}", body="{{ city | default('Stadt') }}")},
)


@pytest.fixture
async def stentor(tmp_path: Path) -> AsyncIterator[Stentor]:
    """None of its credentials is there, and its store isn't made."""
    config = Config.model_validate({"store": {"url": f"sqlite:///{tmp_path / 's.db'}"}, "apps": APPS})
    async with Stentor(config) as found:
        yield found


def by_place(found: Composition) -> dict[tuple[str, str], LaneRendition]:
    return {(each.lane, each.language): each for each in found.renditions}


def texts(found: Composition, lane: str) -> list[tuple[str, str]]:
    seen = [each.rendition for each in found.renditions if each.lane == lane]
    return [(each.shown.title, each.shown.body) for each in seen if each is not None]


async def test_each_channel_and_language_is_shown_for_a_person(stentor: Stentor) -> None:
    found = await stentor.campaigns.compose(GREETING, {"name": "Ann <3", "n": 2})
    assert list(by_place(found)) == [
        (lane, language) for lane in ("apns/ios", "telegram/bot", "discord/guild") for language in ("", "de")
    ], "the default app of a channel"
    assert texts(found, "apns/ios") == [("Hello Ann <3", "4 new"), ("Hallo Ann <3", "Stadt")]
    assert texts(found, "telegram/bot")[0] == ("", "<b>Hello Ann &lt;3</b>\n4 new")
    assert (found.problems, found.left_out) == ([], 0)
    rendition = by_place(found)["discord/guild", "de"].rendition
    assert rendition is not None
    assert rendition.size is not None
    assert (rendition.size.limit, rendition.size.unit) == (2000, "characters")


async def test_without_a_person_each_name_stands_for_its_value_where_that_will_do(stentor: Stentor) -> None:
    hello = Content(
        message=Message(
            title="Hi {{ name }}", body="{{ name | default('you') }}", image="https://a.example/{{ id }}.png"
        )
    )
    found = await stentor.campaigns.compose(hello)
    assert texts(found, "apns/ios") == [("Hi {name}", "{name}")]
    found = await stentor.campaigns.compose(Content(message=Message(title="{{ n + 1 }}")))
    assert texts(found, "apns/ios") == [("x", "")], "no text can be counted with"
    found = await stentor.campaigns.compose(Content(message=Message(title="{{ name | default('you') }}")))
    assert texts(found, "apns/ios") == [("you", "")]


async def test_what_is_wrong_is_a_value_and_hides_nothing_else(stentor: Stentor) -> None:
    broken = Content(
        message=Message(title="a"), translations={"de": Translation(title="{{ x"), "fr": Translation(title="f")}
    )
    found = await stentor.campaigns.compose(broken)
    ((field, problem),) = [(each.field, each.problem) for each in found.problems]
    assert field == "translations.de.title"
    assert "broken template" in problem
    assert texts(found, "apns/ios") == [("a", ""), ("f", "")]
    found = await stentor.campaigns.compose(GREETING, {"n": 1})
    lacking = by_place(found)["apns/ios", ""]
    assert lacking.rendition is None
    assert lacking.problem == MessageProblem(
        field="title", problem="needs `name`, which this installation doesn't have"
    )
    nothing = await stentor.campaigns.compose(Content(message=Message()))
    assert nothing.renditions == []
    assert [each.field for each in nothing.problems] == ["message"]


async def test_one_channels_refusal_is_its_own_and_what_is_too_large_is_shown(stentor: Stentor) -> None:
    odd = Content(message=Message(title="a", body="x" * 3000, discord=DiscordOptions(username="")))
    found = by_place(await stentor.campaigns.compose(odd))
    assert found["apns/ios", ""].problem is None
    assert found["telegram/bot", ""].problem is None
    discord = found["discord/guild", ""]
    assert discord.problem is not None
    assert discord.problem.field == "discord.username"
    found = by_place(await stentor.campaigns.compose(Content(message=Message(body="x" * 3000))))
    discord = found["discord/guild", ""]
    assert discord.problem is not None
    assert "Discord takes 2000" in discord.problem.problem
    assert discord.rendition is not None
    assert discord.rendition.size is not None
    assert (discord.rendition.size.left, discord.rendition.shown.body) == (-1000, "x" * 3000)


async def test_it_takes_a_bounded_time(stentor: Stentor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renditions, "LONGEST", -1.0)
    found = await stentor.campaigns.compose(GREETING, {"name": "Ann", "n": 1})
    assert (found.renditions, found.left_out) == ([], 6)
    wrong = {f"a{letter}": Translation(title="{{ x") for letter in "abcdefghij"}
    found = await stentor.campaigns.compose(Content(message=Message(title="a"), translations=wrong))
    assert len(found.problems) == renditions.MOST_PROBLEMS + 1
