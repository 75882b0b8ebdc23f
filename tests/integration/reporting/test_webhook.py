"""The signed webhook: what a program gets, and where it may be."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook

from stentor.config import ReportTarget
from stentor.reporting.events import EventKind, body_of
from stentor.reporting.webhook_receiver import WebhookReceiver
from stentor.simulators.tls import ServerTls, make_server_tls
from tests.integration.reporting.receivers import HttpReceiver, http_receiver
from tests.unit.reporting.samples import campaign_event, lane_event

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def certify(folder: Path) -> ServerTls:
    """A server's certificate, and the authority that clients must trust, `report-ca.pem`."""
    return make_server_tls(folder, provider="report", alpn=("http/1.1",))


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[HttpReceiver]:
    tls = certify(tmp_path)
    async with http_receiver(tls.context) as receiver:
        yield receiver


def target(tmp_path: Path, program: HttpReceiver, *, host: str = "127.0.0.1", private: bool = True) -> WebhookReceiver:
    secret, authority = tmp_path / "secret.txt", tmp_path / "report-ca.pem"
    if not secret.exists():
        secret.write_text(f"{SECRET}\n{OTHER}\n")
    url = f"https://{host}:{program.port}/reports"
    settings = ReportTarget(webhook=url, secret_file=secret, ca_file=authority, allow_private=private)
    return WebhookReceiver("backend", settings, url)


async def test_a_program_verifies_what_it_gets(tmp_path: Path, program: HttpReceiver) -> None:
    event, now = campaign_event(), time.time()
    answer = await target(tmp_path, program).tell(event, now)
    assert (answer.sent, answer.status, answer.text) == (True, 200, "ok")
    (got,) = program.got
    headers = {name.lower(): value for name, value in got.headers.items()}
    for secret in (SECRET, OTHER):  # while it is changed, both sign
        assert Webhook(secret).verify(got.body, headers) == body_of(event)
    assert got.path == "/reports"
    assert headers["content-type"] == "application/json"


async def test_every_try_has_the_same_id_and_every_event_its_own(tmp_path: Path, program: HttpReceiver) -> None:
    team = target(tmp_path, program)
    for event in (campaign_event(), campaign_event(), lane_event(EventKind.LANE_STOPPED)):
        await team.tell(event, 1.8e9)
    first, second, third = (got.headers["webhook-id"] for got in program.got)
    assert first == second != third
    assert program.got[0].body == program.got[1].body


async def test_what_it_answers_is_kept(tmp_path: Path, program: HttpReceiver) -> None:
    program.status, program.body, program.headers = 503, "later\nplease \0" + "x" * 9999, {"retry-after": "60"}
    answer = await target(tmp_path, program).tell(campaign_event(), 1.8e9)
    assert (answer.sent, answer.status, answer.retry_after, answer.final) == (False, 503, 60.0, False)
    assert answer.text.startswith("later please �xxx")
    assert len(answer.text) <= 200
    program.status, program.headers = 410, {}
    assert (await target(tmp_path, program).tell(campaign_event(), 1.8e9)).final


async def test_no_redirect_is_followed(tmp_path: Path, program: HttpReceiver) -> None:
    program.status, program.headers = 307, {"location": "/elsewhere"}
    assert not (await target(tmp_path, program).tell(campaign_event(), 1.8e9)).sent
    assert [got.path for got in program.got] == ["/reports"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_private_network_is_refused_unless_it_is_allowed(
    tmp_path: Path, program: HttpReceiver, host: str
) -> None:
    answer = await target(tmp_path, program, host=host, private=False).tell(campaign_event(), 1.8e9)
    assert not answer.sent
    assert answer.text == (
        "reports.targets.backend.webhook: it leads into a private network; `allow_private` allows that"
    )
    assert program.got == []


async def test_what_cannot_be_used_or_reached_is_an_answer(tmp_path: Path, program: HttpReceiver) -> None:
    team = target(tmp_path, program)
    assert await team.check() is None
    (tmp_path / "secret.txt").write_text("hush")
    assert "holds a line that doesn't begin" in (await team.check() or "")
    answer = await team.tell(campaign_event(), 1.8e9)
    assert answer.text.startswith(f"reports.targets.backend: {tmp_path / 'secret.txt'} holds a line that doesn't begin")
    assert "hush" not in answer.text
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "report-ca.pem").write_text("no certificate")
    answer = await team.tell(campaign_event(), 1.8e9)
    assert "is not a PEM file of certificates" in answer.text
    program.port = 1
    (tmp_path / "report-ca.pem").unlink()
    certify(tmp_path)
    answer = await target(tmp_path, program).tell(campaign_event(), 1.8e9)
    assert answer.text.startswith("no connection to 127.0.0.1:1")


async def test_a_certificate_that_is_not_trusted_is_refused(tmp_path: Path, program: HttpReceiver) -> None:
    certify(tmp_path / "other")
    (tmp_path / "report-ca.pem").write_bytes((tmp_path / "other" / "report-ca.pem").read_bytes())
    answer = await target(tmp_path, program).tell(campaign_event(), 1.8e9)
    assert answer.text.startswith("its certificate is not trusted")
