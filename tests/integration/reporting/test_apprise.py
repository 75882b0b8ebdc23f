"""What chats and mailboxes really get, over HTTP and SMTP; and that no secret of a target shows anywhere."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from apprise import Apprise
from apprise.plugins.discord import NotifyDiscord
from apprise.plugins.slack import NotifySlack
from apprise.plugins.telegram import NotifyTelegram

from stentor.config import ReportTarget
from stentor.reporting import apprise_receiver
from stentor.reporting.apprise_receiver import AppriseReceiver, without_secrets
from stentor.reporting.events import EventKind
from tests.integration.reporting.receivers import HttpReceiver, http_receiver, mail_server
from tests.unit.reporting.samples import NOW, campaign_event, lane_event, reason

RUDE = "*Sale* <b> @everyone <!channel> & more"
PAGE = "https://push.example.com/campaigns/c1"
TOKEN = "JHMHI8qBe7bk2ZwO5U711o3dVxjs"
URLS = {
    "slack": f"slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN[:24]}",
    "discord": f"discord://4174216298/{TOKEN}",
    "telegram": f"tgram://123456789:{TOKEN}/12315544/",
}


@pytest.fixture
async def chats(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpReceiver]:
    """All of them at one place here: none lets its host be set by its URL."""
    async with http_receiver() as receiver:
        host = f"http://127.0.0.1:{receiver.port}"
        monkeypatch.setattr(NotifySlack, "webhook_url", f"{host}/services")
        monkeypatch.setattr(NotifyDiscord, "notify_url", f"{host}/api/webhooks")
        monkeypatch.setattr(NotifyTelegram, "notify_url", f"{host}/bot")
        yield receiver


def receiver(url: str, name: str = "team") -> AppriseReceiver:
    return AppriseReceiver(name, ReportTarget(url=url))


async def test_slack_gets_bold_labels_and_a_link(chats: HttpReceiver) -> None:
    answer = await receiver(URLS["slack"]).tell(campaign_event(title=RUDE), NOW)
    assert (answer.sent, answer.text) == (True, "Slack took it")
    (got,) = chats.got
    (attachment,) = got.json["attachments"]
    assert attachment["title"].startswith("“*Sale* &lt;b&gt; @everyone &lt;!channel&gt; &amp; more” was sent")
    lines = [line.rstrip() for line in attachment["text"].splitlines()]
    assert "*Accepted:* 998 (99.8 %)" in lines
    assert "- 2 × Unregistered on apns/ios: The app was removed from the device." in lines
    assert f"<{PAGE}|Details>" in lines
    assert "&lt;!channel&gt;" in attachment["text"]
    assert "<!channel>" not in attachment["text"]
    assert got.json["mrkdwn"] is True


async def test_discord_gets_markdown_that_calls_nobody(chats: HttpReceiver) -> None:
    chats.status = 204
    assert (await receiver(URLS["discord"]).tell(campaign_event(title=RUDE), NOW)).sent
    content: str = chats.got[0].json["content"]
    assert content.startswith("**“\\*Sale\\* ")
    assert "**Accepted:** 998 (99.8 %)" in content
    assert f"[Details]({PAGE})" in content
    assert "@everyone" not in content
    assert len(content) <= 2000


async def test_discord_gets_no_more_than_it_takes(chats: HttpReceiver) -> None:
    chats.status = 204
    reasons = [reason(f"Reason{number}", meaning="why " * 120) for number in range(5)]
    assert (await receiver(URLS["discord"]).tell(campaign_event(reasons=reasons), NOW)).sent
    content: str = chats.got[0].json["content"]
    assert len(content) <= 2000
    assert "Reason0" in content
    assert PAGE in content, "what is cut is the list, not what stands behind it"


async def test_telegram_gets_html(chats: HttpReceiver) -> None:
    chats.body = '{"ok": true, "result": {"message_id": 1}}'
    assert (await receiver(URLS["telegram"]).tell(campaign_event(title=RUDE), NOW)).sent
    got = chats.got[0].json
    assert got["parse_mode"] == "HTML"
    assert got["text"].startswith("<b>“*Sale* &lt;b&gt; @everyone &lt;!channel&gt; &amp; more” was sent")
    assert "<b>Accepted:</b> 998 (99.8 %)" in got["text"]
    assert f'<a href="{PAGE}">{PAGE}</a>' in got["text"]


async def test_a_mailbox_gets_a_mail_in_both_forms() -> None:
    with mail_server() as (port, got):
        url = f"mailto://127.0.0.1:{port}?from=stentor@example.com&to=team@example.com&mode=insecure"
        answer = await receiver(url).tell(campaign_event(title=RUDE), NOW)
    assert answer.sent, answer.text
    (mail,) = got
    assert mail["Subject"] == f"“{RUDE}” was sent: 998 of 1,000 accepted"
    plain, html = (mail.get_body((form,)) for form in ("plain", "html"))
    assert plain is not None
    assert html is not None
    for body in (plain.get_content(), html.get_content()):
        assert PAGE in body
        assert "998 (99.8 %)" in body
    assert "&lt;!channel&gt;" in html.get_content()


async def test_a_program_that_takes_text_gets_text(chats: HttpReceiver) -> None:
    assert (await receiver(f"json://127.0.0.1:{chats.port}/hook").tell(lane_event(EventKind.LANE_STOPPED), NOW)).sent
    got = chats.got[0].json
    assert (got["title"], got["type"]) == ("apns/ios has stopped sending", "failure")
    assert got["message"].startswith("ExpiredProviderToken: no key. Fix the credentials.")


async def test_the_url_may_stand_in_a_file_and_is_read_anew(tmp_path: Path, chats: HttpReceiver) -> None:
    file = tmp_path / "url.txt"
    file.write_text("# two are one too many\njson://127.0.0.1:1/a\njson://127.0.0.1:1/b\n")
    team = AppriseReceiver("team", ReportTarget(url_file=file))
    answer = await team.tell(campaign_event(), NOW)
    assert (answer.sent, answer.text) == (False, f"{file} must hold exactly one URL, and holds 2; a target has one")
    file.write_text(f"# the team's\njson://127.0.0.1:{chats.port}/a\n")
    assert (await team.tell(campaign_event(), NOW)).sent
    assert team.kind == "json"
    file.unlink()
    assert (await team.tell(campaign_event(), NOW)).text == f"{file} cannot be read: No such file or directory"


# -- secrets ----------------------------------------------------------------------------------------------------------

SECRETS = {
    "discord": (f"discord://4174216298/{TOKEN}", [TOKEN, "4174216298"]),
    "slack, of no such form": (f"slack://T1JJ3T3L2/{TOKEN}", [TOKEN, "T1JJ3T3L2"]),
    "json": (f"json://user:hush{TOKEN}@127.0.0.1:1/hook/{TOKEN}?+x-key=hidden{TOKEN}", [TOKEN]),
    "mail": (f"mailto://user:{TOKEN}@127.0.0.1:1?from=a@example.com&to=b@example.com&mode=insecure", [TOKEN]),
    "no service at all": (f"nosuch://{TOKEN}", [TOKEN]),
    "no URL at all": (f"123456789:{TOKEN}", [TOKEN, "123456789"]),
}


@pytest.fixture
def heard() -> Iterator[io.StringIO]:
    """All that anybody logs meanwhile, at whatever level."""
    into = io.StringIO()
    handler = logging.StreamHandler(into)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield into
    finally:
        root.setLevel(before)
        root.removeHandler(handler)


@pytest.mark.parametrize(("url", "secrets"), SECRETS.values(), ids=SECRETS.keys())
async def test_no_secret_is_in_an_answer_or_a_log(
    url: str,
    secrets: list[str],
    chats: HttpReceiver,
    heard: io.StringIO,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """At whatever level somebody listens, and whatever fails."""
    chats.status, chats.body = 403, "no"
    target = receiver(url)
    answer = await target.tell(campaign_event(), NOW)
    assert not answer.sent
    assert answer.text
    out, err = capfd.readouterr()
    for secret in secrets:
        for place in (answer.text, heard.getvalue(), out, err, repr(target), target.kind, repr(ReportTarget(url=url))):
            assert secret not in place


async def test_settings_are_checked_without_asking_the_target(tmp_path: Path, chats: HttpReceiver) -> None:
    assert await receiver(URLS["discord"]).check() is None
    said = "reports.targets.team.url: is no URL that Apprise understands; compare it with Apprise's page"
    assert (await receiver("nosuch://x").check() or "").startswith(said)
    assert "cannot be read" in (await AppriseReceiver("team", ReportTarget(url_file=tmp_path / "no.txt")).check() or "")
    assert chats.got == []


async def test_what_it_is_refused_for_is_told(chats: HttpReceiver) -> None:
    chats.status = 403
    answer = await receiver(URLS["discord"]).tell(campaign_event(), NOW)
    assert "403" in answer.text


def test_what_apprise_says_is_shown_without_the_urls_parts() -> None:
    url = f"https://user:{TOKEN}@host.example.com/a/hooksecret?key=valuesecret"
    said = without_secrets(f"at {url} with {TOKEN}, HOOKSECRET and valuesecret: 404 from host.example.com", url)
    assert said == "at … with …, … and …: 404 from host.example.com"


async def test_whatever_a_services_code_does_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(TOKEN)

    monkeypatch.setattr(Apprise, "notify", fail)
    assert (await receiver(URLS["discord"]).tell(campaign_event(), NOW)).text == "Apprise failed with RuntimeError"


# -- time -------------------------------------------------------------------------------------------------------------


async def test_one_that_hangs_is_left_alone_until_it_returns(
    monkeypatch: pytest.MonkeyPatch, chats: HttpReceiver
) -> None:
    monkeypatch.setattr(apprise_receiver, "WITHIN", 0.3)
    returns = threading.Event()
    team = receiver(f"json://127.0.0.1:{chats.port}/hook")
    real = team._tell

    def hang(event: object) -> object:
        returns.wait()
        return real(campaign_event())

    monkeypatch.setattr(team, "_tell", hang)
    assert (await team.tell(campaign_event(), NOW)).text == "no answer within 0.3 s"
    assert (await team.tell(campaign_event(), NOW)).text == "the try before this one has not ended yet"
    assert chats.got == []
    returns.set()
    monkeypatch.setattr(team, "_tell", real)
    monkeypatch.setattr(apprise_receiver, "WITHIN", 30.0)
    async with asyncio.timeout(20):
        while not (await team.tell(campaign_event(), NOW)).sent:  # noqa: ASYNC110 - a thread's end sets no event
            await asyncio.sleep(0.01)
