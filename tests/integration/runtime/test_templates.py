"""Templates in the library: saved in versions, compared, restored, and kept by the campaigns made from them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from stentor.audience.contract import Selection
from stentor.errors import ChangedMeanwhile, InvalidInput, InvalidMessage, UnknownTemplate
from stentor.model import Action, Message
from stentor.planning.content import Content, TemplateLanguage, Translation
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.runtime.templates import LONGEST_NAME
from stentor.store.templates import UsedTemplate
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, rehearse

SALE = Content(
    message=Message(title="Sale in {{ city }}", body="Today", ttl=3600),
    translations={"de": Translation(title="Angebot in {{ city }}")},
)
LIQUID = Content(message=Message(title="{{ name | upcase }}"), templates=TemplateLanguage.LIQUID, language="en")


@pytest.fixture
async def stentor(tmp_path: Path, facts: Facts) -> AsyncIterator[Stentor]:
    async with Stentor(rehearse(tmp_path, facts)) as found:
        yield found


async def test_a_template_is_saved_in_versions_compared_and_restored(stentor: Stentor) -> None:
    first = await stentor.templates.save("sale", SALE, by="ada")
    assert (first.version.version, first.version.saved_by, first.version.title) == (1, "ada", "Sale in {{ city }}")
    better = replace(SALE, message=replace(SALE.message, title="Big sale in {{ city }}"))
    second = await stentor.templates.save("sale", better, over=1, by="ben")
    assert (second.version.version, second.content) == (2, better)
    assert (await stentor.templates.save("sale", better)).version.version == 2, "which says the same"
    assert (await stentor.templates.get("sale", 1)).content == SALE
    (change,) = await stentor.templates.compare("sale", 1)
    assert change.told == 'title: "Sale in {{ city }}" became "Big sale in {{ city }}"'
    assert await stentor.templates.compare("sale", 1, 1) == []
    with pytest.raises(
        ChangedMeanwhile, match=r"version 2 of sale was saved by ben on .* after version 1 that you saw"
    ):
        await stentor.templates.restore("sale", 1, over=1)
    third = await stentor.templates.restore("sale", 1, over=2, by="ada")
    assert (third.version.version, third.version.restored, third.content) == (3, 1, SALE)
    assert [each.version for each in await stentor.templates.versions("sale")] == [3, 2, 1]
    assert [each.version for each in await stentor.templates.versions("sale", before=3, limit=1)] == [2]


async def test_all_of_a_message_is_kept(stentor: Stentor) -> None:
    await stentor.templates.save("news", LIQUID)
    assert (await stentor.templates.get("news")).content == LIQUID
    await stentor.templates.save("sale", replace(SALE, values={"city": "Bern"}))
    assert (await stentor.templates.get("sale")).content == SALE, "values are the campaign's"
    assert [each.name for each in await stentor.templates.list()] == ["news", "sale"]
    assert [each.name for each in await stentor.templates.list(after="news")] == ["sale"]


async def test_a_campaign_keeps_the_text_and_remembers_the_version(stentor: Stentor) -> None:
    await stentor.templates.save("sale", SALE)
    content, used = await stentor.templates.filled("sale@1", {"city": "Bern"})
    draft = Draft(content, Selection(source=AUDIENCE), template=used)
    made = await stentor.campaigns.create(draft)
    await stentor.templates.save("sale", replace(SALE, message=Message(title="Other")))
    await stentor.templates.delete("sale")
    found = await stentor.campaigns.draft(made.id)
    assert (found.content, found.template) == (content, UsedTemplate(name="sale", version=1))
    changed = await stentor.campaigns.change(made.id, replace(found, max_rate=1000.0))
    assert changed.template == used
    test = await stentor.campaigns.test(made.id, ["1"])
    assert test.template == used
    assert (await stentor.campaigns.change(made.id, replace(found, template=None))).template is None
    assert (await stentor.templates.save("sale", SALE)).version.version == 3, "so that sale@1 is never another text"


async def test_what_cannot_be_a_template_is_refused(stentor: Stentor) -> None:
    for name in ("two words", "", "sale@1", "x" * (LONGEST_NAME + 1)):
        with pytest.raises(InvalidInput, match="name: a template's name is one word"):
            await stentor.templates.save(name, SALE)
    with pytest.raises(InvalidMessage, match="title"):
        await stentor.templates.save("sale", Content(message=Message(title="{{ broken")))
    with pytest.raises(InvalidInput, match="takes back or edits"):
        await stentor.templates.save("sale", replace(SALE, action=Action.EDIT))
    assert await stentor.templates.list() == []


async def test_what_is_not_there_is_named_with_what_is_nearest(stentor: Stentor) -> None:
    await stentor.templates.save("sale", SALE)
    with pytest.raises(UnknownTemplate, match=r"there is no template 'slae'; did you mean sale\?"):
        await stentor.templates.get("slae")
    with pytest.raises(UnknownTemplate, match="the template sale has no version 2; its newest is 1"):
        await stentor.templates.get("sale", 2)
    for missing in (stentor.templates.versions("x"), stentor.templates.delete("x"), stentor.templates.restore("x", 1)):
        with pytest.raises(UnknownTemplate, match="there is no template 'x'"):
            await missing
    for said in ("slae", "sale@2"):
        with pytest.raises(InvalidInput, match=r"^template: "):
            await stentor.templates.filled(said)
    for said in ("sale@", "sale@x", "sale@0"):
        with pytest.raises(InvalidInput, match="is not NAME@VERSION"):
            await stentor.templates.filled(said)
    with pytest.raises(InvalidMessage, match="no text of the message uses `town`"):
        await stentor.templates.filled("sale", {"town": "Bern"})
