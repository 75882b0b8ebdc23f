"""Clients of other languages work unmodified against the simulators: one a channel."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from stentor.simulators.apns import ApnsSimulator
from stentor.simulators.discord import DiscordSimulator
from stentor.simulators.faults import parse_faults
from stentor.simulators.fcm import FcmSimulator
from stentor.simulators.telegram import TelegramSimulator
from stentor.simulators.webhook import WebhookSimulator
from stentor.simulators.webpush import SUBJECT, WebPushSimulator
from tests.integration.simulators.other_languages import INSTALLING_S, RUNNING_S, Workshop
from tests.integration.simulators.wire_client import assertion

pytestmark = pytest.mark.timeout(INSTALLING_S + RUNNING_S)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Workshop:
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "clients"
    folder.mkdir(exist_ok=True)
    return Workshop(folder)


async def test_node_apn(workshop: Workshop) -> None:
    """It opens a hundred streams before it has read the first SETTINGS."""
    client = workshop.node("apns")
    tokens = [f"{number:064x}" for number in range(300)]
    async with ApnsSimulator() as apns:
        key = {"key_file": str(apns.key_file), "key_id": apns.key_id, "team_id": apns.team_id}
        told = await client.run(apns.ca_file, tokens=tokens, port=apns.port, **key)
        assert (sorted(told["sent"]), told["failed"]) == (tokens, [])
        apns.faults = parse_faults({"devices": {"unregistered": 1.0}})
        told = await client.run(apns.ca_file, tokens=tokens[:1], port=apns.port, **key)
        assert told["failed"] == [[tokens[0], "Unregistered"]]
    assert sorted(apns.ledger.addresses()) == tokens
    assert {entry.dedup_id for entry in apns.ledger} == {"campaign-7"}
    assert apns.violations == []


async def test_firebase_admin(workshop: Workshop) -> None:
    client = workshop.node("fcm")
    tokens = [f"device-{number}" for number in range(150)]
    async with FcmSimulator() as fcm:
        about = {"token_url": fcm.token_url, "assertion": assertion(fcm), "project": fcm.project}
        told = await client.run(fcm.ca_file, tokens=tokens, port=fcm.port, **about)
    assert told["name"].startswith(f"projects/{fcm.project}/messages/0:")
    assert (told["accepted"], told["errors"]) == (149, [])
    assert sorted(fcm.ledger.addresses()) == sorted(tokens)
    assert fcm.violations == []


async def test_discord_js(workshop: Workshop) -> None:
    client = workshop.node("discord")
    async with DiscordSimulator() as discord:
        webhook = f"https://discord.com/api/webhooks/400000000000000001/{'a' * 68}"
        given = {"url": discord.url, "token": discord.token, "channel": "300000000000000001", "webhook": webhook}
        told = await client.run(discord.ca_file, **given)
        summary = discord.summary()
    assert told == {"me": "Rehearsal", "attachment": "a.txt", "edited": "Over", "webhook": "b.txt"}
    assert (summary["accepted"], summary["edited"], summary["deleted"]) == (3, 2, 2)


async def test_webpush_go(workshop: Workshop) -> None:
    client = workshop.go("webpush")
    async with WebPushSimulator() as web:
        private = load_pem_private_key(web.private_key_file.read_bytes(), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        number = private.private_numbers().private_value.to_bytes(32)
        keys = {"private_key": urlsafe_b64encode(number).rstrip(b"=").decode(), "public_key": web.public_key}
        subscriptions = [json.loads(each) for each in web.subscriptions(6)]
        told = await client.run(web.ca_file, subject=SUBJECT, subscriptions=subscriptions, **keys)
        delivered = [each.payload for service in web.services.values() for each in service.deliver()]
    assert told["statuses"] == [201] * 6
    assert delivered == [b"Sale"] * 6


async def test_telebot(workshop: Workshop) -> None:
    """It asks `getMe` with the body `null`."""
    client = workshop.go("telegram")
    async with TelegramSimulator() as telegram:
        told = await client.run(telegram.ca_file, url=telegram.url, token=telegram.token)
        summary = telegram.summary()
    wanted = {"me": "rehearsal_bot", "text": "Sale ends tonight! (1.5)", "caption": "Sale", "edited": "Over"}
    assert told == wanted
    assert (summary["accepted"], summary["edited"], summary["deleted"]) == (3, 1, 1)


async def test_standard_webhooks(workshop: Workshop) -> None:
    client = workshop.go("webhook")
    async with WebhookSimulator() as gateway:
        told = await client.run(gateway.ca_file, url=gateway.target, secret=gateway.secret_file.read_text().strip())
    assert told["status"] // 100 == 2, told
    assert gateway.ledger.addresses() == ["a"]


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_what_is_missing_is_told_and_fails_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="npm isn't installed"):
        Workshop(tmp_path).node("apns")
    with pytest.raises(outcome, match="go isn't installed"):
        Workshop(tmp_path).go("telegram")
