"""Pages of saved templates, and the way from the composer to them and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stentor.access.caller import local_caller
from stentor.access.log import ActionFilter
from stentor.access.scopes import Scope
from stentor.model import ApnsOptions, Message
from stentor.planning.content import Content, TemplateLanguage, Translation
from stentor.store.templates import UsedTemplate
from tests.integration.dashboard.conftest import Browser
from tests.integration.dashboard.test_composer import NASTY, made, save, stored
from tests.integration.runtime.rehearsal import AUDIENCE

SAVE = "/campaigns/save-template"
SALE = Content(
    message=Message(title="Sale in {{ city }}", body=NASTY, ttl=3600, apns=ApnsOptions(category="sale")),
    translations={"de": Translation(title="Angebot in {{ city }}")},
)
BETTER = replace(SALE, message=replace(SALE.message, title="Big sale in {{ city }}"))


async def test_templates_are_listed_and_shown_with_their_versions(browser: Browser) -> None:
    templates = browser.stentor.templates
    await browser.sign_in("ada", Scope.VIEW)
    assert "There is no template yet." in (await browser.open("/templates")).text
    await templates.save("sale", SALE, by=f"ben {NASTY}")
    await templates.save("sale", BETTER)
    await templates.save("news", Content(message=Message(title="{{ a | upcase }}"), templates=TemplateLanguage.LIQUID))
    listed = await browser.open("/templates")
    assert listed.text.index("/templates/news") < listed.text.index("/templates/sale")
    assert "Use in a campaign" not in listed.text, "which needs the scope write"
    newest = await browser.open("/templates/sale")
    assert "Big sale in {{ city }}" in newest.text
    assert "Angebot in {{ city }}" in newest.text
    assert "Restore" not in newest.text
    older = await browser.open("/templates/sale", version="1")
    assert "title: &#34;Sale in {{ city }}&#34; became &#34;Big sale in {{ city }}&#34;" in older.text
    assert "Restore version" not in older.text, "which needs the scope write"
    for page in (listed, newest, older):
        assert NASTY not in page.text
    assert "in Liquid" in (await browser.open("/templates/news")).text
    for path in ("/templates/x", "/templates/sale?version=9", "/templates/sale?version=x"):
        assert (await browser.client.get(path)).status_code == 404
    for path in ("/templates/sale/delete", "/campaigns/new?template=sale"):
        assert (await browser.client.get(path)).status_code == 403


async def test_an_older_version_is_restored_unless_there_is_a_newer_one_than_was_seen(browser: Browser) -> None:
    templates = browser.stentor.templates
    await browser.sign_in("ada", Scope.WRITE)
    for content in (SALE, BETTER):
        await templates.save("sale", content)
    page = await browser.open("/templates/sale", version="1")
    await templates.save("sale", replace(SALE, translations={}), by="ben")
    told = await browser.submit(page, "/templates/sale/restore", version="1", over="2")
    assert told.status_code == 409
    assert "version 3 of sale was saved by ben" in told.text
    done = await browser.submit(told, "/templates/sale/restore", version="1", over="3")
    assert "saved again, as the newest one" in done.text
    newest = await templates.get("sale")
    assert (newest.version.version, newest.version.saved_by, newest.content) == (4, "ada", SALE)
    (row,) = await browser.stentor.access.log.page(
        local_caller(), ActionFilter(action="template.restore", outcome="done"), limit=9
    )
    assert (row.object, row.detail) == ("sale", "version 1 as version 4")


async def test_a_template_is_deleted_after_a_question(browser: Browser) -> None:
    templates = browser.stentor.templates
    await browser.sign_in("ada", Scope.WRITE)
    await templates.save("sale", SALE)
    page = await browser.open("/templates/sale/delete")
    await templates.save("sale", BETTER)
    told = await browser.submit(page, "/templates/sale/delete", over="1")
    assert (told.status_code, "nothing was deleted" in told.text) == (409, True)
    assert "The template is deleted." in (await browser.submit(told, "/templates/sale/delete", over="2")).text
    assert await templates.list() == []


async def test_a_campaign_is_made_from_a_template(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    await browser.stentor.templates.save("sale", SALE)
    await browser.stentor.templates.save("sale", BETTER)
    page = await browser.open("/campaigns/new", template="sale@1")
    done = await save(browser, page, source=AUDIENCE)
    assert "The draft is saved." in done.text
    (campaign,) = await browser.stentor.campaigns.newest()
    draft = await stored(browser, campaign.id)
    assert (draft.content, draft.template) == (SALE, UsedTemplate(name="sale", version=1))
    changed = await save(browser, done, "use-template", from_template="sale")
    await save(browser, changed)
    draft = await stored(browser, campaign.id)
    assert (draft.content, draft.template) == (BETTER, UsedTemplate(name="sale", version=2))
    shown = await browser.open(f"/campaigns/{campaign.id}")
    assert "sale, version 2" in shown.text
    gone = await save(browser, changed, "use-template", from_template="gone")
    assert (gone.status_code, "there is no template &#39;gone&#39;" in gone.text) == (422, True)


@pytest.mark.parametrize("as_json", [False, True], ids=["fields", "json"])
async def test_a_message_in_the_composer_is_saved_as_a_template(browser: Browser, *, as_json: bool) -> None:
    user = await browser.sign_in("ada", Scope.WRITE)
    campaign = await made(browser)
    page = await browser.open(f"/campaigns/{campaign.id}/compose")
    if as_json:
        page = await save(browser, page, "as-json")
    done = await save(browser, page, "save-template", path=SAVE, template_name="news")
    assert "Saved as the template news, version 1." in done.text
    saved = await browser.stentor.templates.get("news")
    draft = await stored(browser, campaign.id)
    assert (saved.content, saved.version.saved_by) == (draft.content, user.name)
    assert draft.template is None, "as the draft was not saved"
    await save(browser, done)
    assert (await stored(browser, campaign.id)).template == saved.used
    (row,) = await browser.stentor.access.log.page(local_caller(), ActionFilter(action="template.save"), limit=9)
    assert (row.object, row.outcome, row.detail) == ("news", "done", "version 1")


async def test_whose_template_would_go_over_one_they_did_not_see_is_told_first(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    await browser.stentor.templates.save("sale", SALE, by="ben")
    page = await browser.open("/campaigns/new")
    told = await save(browser, page, "save-template", path=SAVE, m__title="Mine", template_name="sale")
    assert told.status_code == 422
    assert "there is a template sale already: version 1 of sale was saved by ben" in told.text
    assert "Save it as the next version" in told.text
    done = await save(browser, told, "save-template", path=SAVE)
    assert "Saved as the template sale, version 2." in done.text
    again = await save(browser, done, "save-template", path=SAVE, m__title="Mine, too")
    assert "Saved as the template sale, version 3." in again.text, "over the version that they saw"
    titles = [each.title for each in await browser.stentor.templates.versions("sale")]
    assert titles == ["Mine, too", "Mine", "Sale in {{ city }}"]


async def test_what_cannot_be_a_template_is_told_beside_its_field(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    page = await browser.open("/campaigns/new")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"m__title": "x", "template_name": "two words"}, "a template&#39;s name is one word"),
        ({"m__title": "{{ broken", "template_name": "sale"}, 'class="error" id="m.title-about"'),
        ({"template_name": "sale"}, "says nothing"),
    ]
    for changed, said in wrong:
        told = await save(browser, page, "save-template", path=SAVE, **changed)
        assert told.status_code == 422
        assert said in told.text
    assert await browser.stentor.templates.list() == []
