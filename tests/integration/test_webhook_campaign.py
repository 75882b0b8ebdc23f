"""A campaign over webhooks from the command's simulator to the audit, and the examples of the page about it."""

from __future__ import annotations

import json
import re
import sqlite3
import time
import tomllib
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from stentor import Content, Message, Selection, Stentor, load
from stentor.bench.processes import simulator
from stentor.cli.doctor import examine
from stentor.cli.init import render
from stentor.config import Config
from stentor.findings import Status
from stentor.model import WebhookOptions
from stentor.planning.content import content_from
from stentor.providers.lane import CampaignContent
from stentor.providers.webhook import wire
from stentor.providers.webhook.channel import WebhookApp
from stentor.runtime.draft import Draft
from stentor.simulators.webhook import WebhookSimulator

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "webhook.md").read_text("utf-8")
GUIDE = (ROOT / "docs" / "channels.md").read_text("utf-8")
EXAMPLE = ROOT / "examples" / "stentor-ntfy"
PEOPLE = 120
AUDIENCE = """
[audiences.customers]
url = "sqlite:///app.db"
table = "customers"
channel = "webhook"

[audiences.customers.columns]
address = "phone"
attributes = ["name"]

[sending]
senders = 1
longest_backoff = 0.5
"""


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def faults(folder: Path) -> Path:
    file = folder / "faults.json"
    # Each 10th request is taken and its answer lost; a share of the answers is spoilt.
    file.write_text(json.dumps({"drop": {"after_accept_every": 10}, "malformed": {"share": 0.05}}))
    return file


def settings_for(folder: Path, facts: dict[str, Any]) -> Config:
    """Of an app with its people, as `stentor init --simulator` and somebody make them."""
    database = sqlite3.connect(folder / "app.db")
    database.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, phone TEXT, name TEXT)")
    rows = [(number, f"+49 30 {number:05}", f"Name {number}") for number in range(PEOPLE)]
    database.executemany("INSERT INTO customers VALUES (?, ?, ?)", rows)
    database.commit()
    database.close()
    (folder / "stentor.toml").write_text(render([facts]) + AUDIENCE)
    return load(folder / "stentor.toml", {})


async def test_a_campaign_over_webhooks(tmp_path: Path) -> None:
    options = ("--faults", str(faults(tmp_path)), "--seed", "3", "--dir", str(tmp_path / "gateway"))
    with simulator("webhook", *options) as (facts, summary):
        settings = settings_for(tmp_path, facts)
        assert isinstance(settings.apps["simulated-webhook"], WebhookApp)
        found = {finding.check: finding for finding in await examine(settings, app="simulated-webhook")}
        assert found["apps.simulated-webhook: credentials"].status is Status.OK
        async with Stentor(settings) as stentor:
            message = Message(title="Hello {{ name }}", webhook=WebhookOptions(type="invoice.due"))
            content, everybody = Content(message=message), Selection(source="customers")
            preview = await stentor.campaigns.prepare(Draft(content, everybody))
            assert b'"type":"invoice.due"' in preview.sample["webhook/simulated-webhook"]
            campaign = await stentor.campaigns.send(Draft(content, everybody), preview=preview)
            report = await stentor.roles.run(campaign.id)
            assert (report.total.accepted, report.total.failed) == (PEOPLE, 0)
            assert (await stentor.outcomes.audit(campaign.id)).exact
    assert summary["accepted"] - summary["duplicates"] == PEOPLE
    assert summary["duplicates"] > 0, "answers were lost, and the same ids came again"
    assert summary["violations"] == []


async def test_an_undo_is_an_event_that_names_what_it_is_about(tmp_path: Path) -> None:
    async with WebhookSimulator(directory=tmp_path / "gateway") as gateway:
        async with Stentor(settings_for(tmp_path, gateway.facts())) as stentor:
            content = Content(message=Message(title="Wrong price", collapse_key="prices"))
            campaign = await stentor.campaigns.send(Draft(content, Selection(source="customers", only=["1", "2", "3"])))
            await stentor.roles.run(campaign.id)
            undo = await stentor.campaigns.undo(campaign.id)
            await stentor.campaigns.start(undo.id)
            assert (await stentor.roles.run(undo.id)).total.accepted == 3
        said = [(event["type"], event["data"]["collapse_key"]) for event in gateway.gateway.bodies]
        assert sorted(said) == [("message", "prices")] * 3 + [("message.undone", "prices")] * 3
        assert gateway.ledger.duplicates == 0
        assert all("title" not in event["data"] for event in list(gateway.gateway.bodies)[3:])


# -- the pages --------------------------------------------------------------------------------------------------------


def test_the_settings_and_the_message_on_the_page_are_valid(tmp_path: Path) -> None:
    settings, message = blocks(PAGE, "toml")
    (tmp_path / "stentor.toml").write_text(settings)
    app = load(tmp_path / "stentor.toml", {}).apps["sms"]
    assert (app.channel, app.rate) == ("webhook", 50.0)
    (tmp_path / "message.toml").write_text(message)
    options = content_from(tmp_path / "message.toml").message.webhook
    assert options == WebhookOptions(type="invoice.due", payload={"data": {"amount": "{{ amount }}"}})


def test_the_receiver_on_the_page_takes_what_we_send(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(compile(blocks(PAGE, "python")[0], "webhook.md", "exec"), names)  # the page is ours
    secret = "whsec_" + "c3RlbnRvcg==" * 4
    content = Content(message=Message(title="Sale"))
    rendered = wire.render(content.message, CampaignContent(id="c", content=content, started_at=0.0, collapse_id="c"))
    request = wire.request([b"stentor" * 4], "https://x", rendered, b"1", b"+49", time.time())
    assert names["receive"](secret, dict(request.headers), request.body) == 401
    good = "whsec_" + b64encode(b"stentor" * 4).decode()
    assert names["receive"](good, dict(request.headers), request.body) == 200
    assert names["receive"](good, dict(request.headers), request.body) == 200
    assert capsys.readouterr().out == "to +49 Sale\n", "shown once"


def test_the_body_on_the_page_has_the_headers_and_fields_of_ours() -> None:
    (shown,) = blocks(PAGE, "http")
    head, _, body = shown.partition("\n\n")
    event = json.loads(body.replace("\n", ""))
    message = Message(title="Sale", body="Ends tonight", data={"sku": "7"})
    content = Content(message=message)
    rendered = wire.render(message, CampaignContent(id="c", content=content, started_at=1.8e9, collapse_id="c"))
    request = wire.request([b"stentor" * 4], "https://x", rendered, b"4711", b"+49 30 123", 1.8e9)
    ours = json.loads(request.body)
    assert set(re.findall(r"^([\w-]+):", head, re.MULTILINE)) == set(request.headers) - {"user-agent"}
    assert (list(ours), list(ours["data"])) == (list(event), list(event["data"]))
    assert ours["timestamp"] == event["timestamp"]


def test_the_guide_shows_the_example_as_it_is() -> None:
    code = "".join(path.read_text() for path in sorted(EXAMPLE.rglob("*.py")))
    flat = re.sub(r"\s+|,(?=\s*\))", "", code)
    for block in blocks(GUIDE, "python"):
        for part in re.sub(r"  #.*", "", block).split("\n\n"):
            assert re.sub(r"\s+|,(?=\s*\))", "", part) in flat, part
    (entry,) = [block for block in blocks(GUIDE, "toml") if "entry-points" in block]
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    assert tomllib.loads(entry)["project"]["entry-points"] == project["entry-points"]
