"""`stentor push`: to one device or a few, with neither database nor audience."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stentor import Content, Message, Translation, load, push
from stentor.cli.init import simulated, toml
from stentor.cli.main import app
from stentor.config import FILE
from stentor.errors import InvalidConfiguration, InvalidMessage
from stentor.simulators.apns import ApnsSimulator
from stentor.simulators.faults import Devices, Faults
from stentor.simulators.telegram import TelegramSimulator
from stentor.testing.ports import LOOPBACK, HeldPort
from tests.integration.cli.commands import COMMAND, Cluster

TOKEN = "ab" * 32


def settings(folder: Path, simulator: ApnsSimulator | TelegramSimulator, name: str = "ios", **others: object) -> Path:
    facts = {**simulated(simulator.facts()), **others}
    file = folder / FILE
    file.write_text("\n".join([f"[apps.{name}]", *(f"{key} = {toml(value)}" for key, value in facts.items()), ""]))
    return file


async def test_one_device_is_sent_to_without_a_database(tmp_path: Path) -> None:
    async with ApnsSimulator() as apns:
        command = Cluster(settings(tmp_path, apns))
        code, out, err = await command.run(
            "push", "apns/ios", TOKEN, "--title", "Hello {{ who }}", "--set", "who={{x}}"
        )
    assert (code, out, err) == (0, "abababab…  accepted\n", "")
    assert apns.ledger.addresses() == [TOKEN]
    assert os.listdir(tmp_path) == [FILE]


async def test_who_is_not_accepted_is_told_with_the_reason_and_without_the_address(tmp_path: Path) -> None:
    async with ApnsSimulator(faults=Faults(devices=Devices(unregistered=1.0))) as apns:
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *("push", "apns/ios", "-", "--title", "Hello", "--json", "--config", str(settings(tmp_path, apns))),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(f"{TOKEN}\n\nnonsense!\n".encode())
    assert (process.returncode, err) == (1, b"")
    told = [json.loads(line) for line in out.decode().splitlines()]
    found = [(each["accepted"], each["reason"], each["status"]) for each in told]
    assert found == [(False, "Unregistered", 410), (False, "MalformedAddress", 0)]
    assert told[0]["meaning"]
    assert TOKEN not in out.decode()


@pytest.mark.parametrize(
    ("lane", "options", "said"),
    [
        ("apns/isos", ["--title", "x"], "there is no lane 'apns/isos' in the settings; the nearest is apns/ios"),
        ("apns/ios", [], "there is no message"),
        ("apns/ios", ["--title", "Hello {{ name }}"], "--set name: is missing; the message needs it"),
        ("apns/ios", ["--title", "Hello", "--set", "name=x"], "--set: no text of the message uses `name`"),
        ("apns/ios", ["--title", "{{ n }}", "--set", "n n=x"], "--set: 'n n' is not a name that a template can use"),
        ("apns/ios", ["--title", "{{ n }}", "--set", f"n={'x' * 70_000}"], "--set n: is 70,000 bytes long"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(tmp_path: Path, lane: str, options: list[str], said: str) -> None:
    file = tmp_path / FILE
    file.write_text(
        '[apps.ios]\nchannel = "apns"\ntopic = "com.example.app"\nkey_file = "k"\nkey_id = "A"\nteam_id = "B"'
    )
    done = CliRunner().invoke(app, ["push", lane, TOKEN, *options, "--config", str(file)])
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


async def test_programs_push_too_and_to_chats(tmp_path: Path) -> None:
    async with TelegramSimulator() as telegram:
        config = load(settings(tmp_path, telegram, "bot"), {})
        content = Content(message=Message(body="Hello"), translations={"de": Translation(body="Hallo")})
        (told,) = await push(config, "telegram/bot", content, ["4711"], language="de-AT")
    assert told.accepted
    assert told.id
    assert telegram.ledger.addresses() == ["4711"]


async def test_a_server_that_is_away_is_no_acceptance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stentor.runtime.push.ANSWER_WITHIN", 2.0)
    async with ApnsSimulator() as apns:
        port = HeldPort()
        file = settings(tmp_path, apns, url=f"https://{LOOPBACK}:{port.number}")
        async with asyncio.timeout(60):
            (told,) = await push(load(file, {}), "apns/ios", Content(message=Message(title="x")), [TOKEN])
    port.close()
    assert (told.accepted, told.reason) == (False, "NotProcessed")


async def test_it_is_for_a_few(tmp_path: Path) -> None:
    async with ApnsSimulator() as apns:
        config = load(settings(tmp_path, apns), {})
    hello = Content(message=Message(title="x"))
    for addresses in ([], [TOKEN] * 1001):
        with pytest.raises(InvalidConfiguration, match="1 to 1,000 addresses"):
            await push(config, "apns/ios", hello, addresses)
    with pytest.raises(InvalidMessage, match="name"):
        await push(config, "apns/ios", Content(message=Message(title="{{ name }}")), [TOKEN])
