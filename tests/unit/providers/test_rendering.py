"""What a campaign's content becomes on a lane: rendered once where it can be, and for each recipient where it must."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from stentor.errors import InvalidMessage
from stentor.model import Action, Message
from stentor.outcome import Verdict
from stentor.planning.content import Content, Translation
from stentor.providers import rendering
from stentor.providers.contract import Answer
from stentor.providers.lane import CampaignContent
from stentor.providers.payload import PayloadTooLarge
from stentor.providers.rendering import DELETED, Rendering


class Counting(Rendering[str]):
    """Renders titles, and remembers which."""

    def __init__(self) -> None:
        self.titles: list[str] = []

    def render(self, message: Message, campaign: CampaignContent) -> str:
        title = message.title or ""
        self.titles.append(title)
        if "bad" in title:
            raise InvalidMessage("title", "is bad")
        if len(title) > 20:
            raise PayloadTooLarge("title", "is too long")
        return title

    def collapses(self, rendered: str) -> bool:
        return rendered != "once"

    def payload(self, rendered: str) -> bytes:
        return rendered.encode()


class ByReceipt(Counting):
    by_receipt = True


def campaign(content: Content) -> CampaignContent:
    return CampaignContent(id="c1", content=content, started_at=0.0, collapse_id="c1")


PERSONAL = Content(
    message=Message(title="Hi {{ name }}"),
    translations={"de": Translation(title="Hallo {{ name }}"), "fr": Translation()},
)


async def test_plain_messages_are_rendered_once_a_language() -> None:
    content = Content(message=Message(title="Sale"), translations={"de": Translation(title="Rabatt")})
    lane = Counting()
    prepared = await lane.prepare(campaign(content))
    assert (prepared.rendered, prepared.sample, prepared.collapses) == (("Sale", "Rabatt"), b"Sale", True)
    found = [lane.rendered_for(prepared, index, bytes([0, 1, 1, 0]), None) for index in range(4)]
    assert found == ["Sale", "Rabatt", "Rabatt", "Sale"]
    assert lane.rendered_for(prepared, 7, None, None) == "Sale"
    assert lane.titles == ["Sale", "Rabatt"]


async def test_one_rendering_that_does_not_collapse_is_enough() -> None:
    content = Content(message=Message(title="Sale"), translations={"de": Translation(title="once")})
    assert not (await Counting().prepare(campaign(content))).collapses


@pytest.mark.parametrize("kind", [InvalidMessage, PayloadTooLarge])
async def test_what_is_wrong_in_a_language_names_it(kind: type[InvalidMessage]) -> None:
    title = "bad" if kind is InvalidMessage else "too long" * 3
    content = Content(message=Message(title="Sale"), translations={"de-AT": Translation(title=title)})
    with pytest.raises(kind, match=r"^translations\.de-at\.title: is ") as caught:
        await Counting().prepare(campaign(content))
    assert type(caught.value) is kind
    with pytest.raises(InvalidMessage, match=r"^title: is bad"):
        await Counting().prepare(campaign(Content(message=Message(title="bad"))))


async def test_equal_personal_messages_are_rendered_once() -> None:
    lane = Counting()
    prepared = await lane.prepare(campaign(PERSONAL))
    assert lane.titles == ["x", "x", "x"], "outlines, for checks before anything is sent"
    lane.titles.clear()
    languages, names = bytes([0, 1, 0, 0, 2]), ["Ada", "Ada", "Bob", "Ada", "Ada"]
    variables: list[dict[str, Any]] = [{"name": name} for name in names]
    found = [lane.rendered_for(prepared, index, languages, variables) for index in range(5)]
    assert found == ["Hi Ada", "Hallo Ada", "Hi Bob", "Hi Ada", "Hi Ada"]
    assert lane.titles == ["Hi Ada", "Hallo Ada", "Hi Bob", "Hi Ada"]


async def test_what_cannot_be_rendered_is_an_answer_about_its_recipient() -> None:
    lane = Counting()
    prepared = await lane.prepare(campaign(PERSONAL))
    variables: list[dict[str, Any]] = [{}, {"name": None}, {"name": "bad"}, {"name": "x" * 30}, {"name": "Ada"}]
    found = [lane.rendered_for(prepared, index, None, variables) for index in range(5)]
    answers = [each for each in found if isinstance(each, Answer)]
    assert [each.reason for each in answers] == ["TemplateError", "TemplateError", "InvalidMessage", "PayloadTooLarge"]
    assert {each.verdict for each in answers} == {Verdict.REJECT}
    assert {each.status for each in answers} == {0}, "it was we who refused"
    assert found[4] == "Hi Ada"
    none_given = lane.rendered_for(prepared, 0, None, None)
    assert isinstance(none_given, Answer)


async def test_who_is_skipped_is_an_answer_with_the_reason() -> None:
    lane = Counting()
    title = "{% if n == 0 %}{{ skip('nothing new') }}{% endif %}{{ n }}"
    prepared = await lane.prepare(campaign(Content(message=Message(title=title))))
    found = [lane.rendered_for(prepared, index, None, [{"n": 1}, {"n": 0}, {}]) for index in range(3)]
    assert found[0] == "1"
    answers = [each for each in found if isinstance(each, Answer)]
    assert [(each.verdict, each.reason, each.status) for each in answers] == [
        (Verdict.REJECT, "Skipped", 0),
        (Verdict.REJECT, "TemplateError", 0),
    ]
    assert answers[0].detail == "nothing new"
    everybody = await lane.prepare(campaign(Content(message=Message(title="{{ skip('all') }}"))))
    answer = lane.rendered_for(everybody, 0, None, [{}])
    assert isinstance(answer, Answer)
    assert answer.reason == "Skipped"


async def test_whose_template_takes_too_much_is_rejected_alone() -> None:
    lane = Counting()
    title = "{% for i in range(n) %}{{ '%*d' | format(9 ** 9, i) if i == 5 else i }}{% endfor %}{{ 'x' * n * n * n }}"
    prepared = await lane.prepare(campaign(Content(message=Message(title=title))))
    found = [lane.rendered_for(prepared, index, None, [{"n": n} for n in (1, 6, 100, 2000, 2)]) for index in range(5)]
    assert (found[0], found[4]) == ("0x", "01xxxxxxxx")
    answers = [each for each in found if isinstance(each, Answer)]
    assert [(each.verdict, each.reason, each.detail) for each in answers] == [
        (Verdict.REJECT, "TemplateError", f"title: the template {problem}")
        for problem in (
            "has a format with a width above 1,000",
            "has a format with a width above 1,000",
            "has a range of more than 1,000 numbers",
        )
    ]


async def test_renderings_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "RENDERINGS", 10)
    lane = Counting()
    prepared = await lane.prepare(campaign(PERSONAL))
    variables = [{"name": str(number)} for number in range(100)]
    for index in range(100):
        assert lane.rendered_for(prepared, index, None, variables) == f"Hi {index}"
        assert len(prepared.cache) <= 10


async def test_what_is_wrong_for_everybody_is_said_before_the_start() -> None:
    with pytest.raises(InvalidMessage, match="is bad"):
        await Counting().prepare(campaign(Content(message=Message(title="bad"))))


async def test_deleting_needs_no_rendering_and_changes_always_collapse() -> None:
    undo = Content(message=Message(title="bad"), action=Action.UNDO)
    lane = ByReceipt()
    prepared = await lane.prepare(campaign(undo))
    assert (prepared.rendered, prepared.sample, prepared.collapses, lane.titles) == ((), DELETED, True, [])
    with pytest.raises(InvalidMessage, match="is bad"):
        await Counting().prepare(campaign(undo))
    edit = Content(message=Message(title="once"), action=Action.EDIT)
    assert (await ByReceipt().prepare(campaign(edit))).collapses


async def test_the_loop_has_its_turns_while_texts_that_take_long_are_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = Counting()
    prepared = await lane.prepare(campaign(PERSONAL))
    turns = 0

    def slow(message: Message, campaign: CampaignContent) -> str:
        time.sleep(2 * rendering.TURN)
        return str(message.title)

    monkeypatch.setattr(lane, "render", slow)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    found = await lane.rendered_each(prepared, 10, None, [{"name": str(number)} for number in range(10)])
    beside.cancel()
    assert (found, turns) == ([f"Hi {number}" for number in range(10)], 10)
