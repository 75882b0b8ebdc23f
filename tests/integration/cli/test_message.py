"""`stentor message`: sent from here or by others, looked up, and told by its exit code."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stentor.simulators.apns import ApnsSimulator
from stentor.simulators.faults import Devices, Faults
from tests.integration.cli.commands import Cluster
from tests.integration.cli.test_push import settings

TOKEN = "ab" * 32
CODE = ("--lane", "apns/ios", "--address", TOKEN, "--title", "Your code is 4711")


@pytest.fixture
async def apns() -> AsyncIterator[ApnsSimulator]:
    async with ApnsSimulator() as found:
        yield found


async def test_it_is_sent_from_here_and_its_outcome_shown(tmp_path: Path, apns: ApnsSimulator) -> None:
    command = Cluster(settings(tmp_path, apns))
    code, out, err = await command.run("message", "send", *CODE)
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert first.endswith("(Your code is 4711) is completed.")
    assert second == "  address-1  accepted by apns/ios"
    assert apns.ledger.addresses() == [TOKEN]
    message_id = first.split()[1]

    code, out, err = await command.run("message", "show", message_id, "--json")
    told: dict[str, Any] = json.loads(out)
    assert (code, err, told["id"], told["state"], told["settled"]) == (0, "", message_id, "completed", True)
    assert [(each["installation"], each["outcome"]) for each in told["recipients"]] == [("address-1", "accepted")]
    assert TOKEN not in out

    code, out, err = await command.run("message", "list", "--json")
    assert (code, err, json.loads(out)["id"]) == (0, "", message_id)
    code, out, err = await command.run("campaign", "audit", message_id)
    assert (code, err) == (0, "")


async def test_it_is_left_to_others_and_sent_once(tmp_path: Path, apns: ApnsSimulator) -> None:
    command = Cluster(settings(tmp_path, apns))
    code, out, err = await command.run("message", "send", *CODE, "--once", "login", "--detach", "--json")
    told = json.loads(out)
    assert (code, err, told["state"]) == (0, "", "running")
    assert [each["outcome"] for each in told["recipients"]] == ["waiting"]
    code, out, err = await command.run("message", "send", *CODE, "--once", "login", "--json")
    assert (code, json.loads(out), err) == (0, {"already_sent": told["id"]}, "")
    assert apns.ledger.addresses() == []


async def test_who_did_not_get_it_makes_it_exit_with_1(tmp_path: Path) -> None:
    async with ApnsSimulator(faults=Faults(devices=Devices(unregistered=1.0))) as apns:
        code, out, err = await Cluster(settings(tmp_path, apns)).run("message", "send", *CODE)
    assert (code, err) == (1, "")
    assert "address-1  rejected: Unregistered (410)" in out


async def test_what_is_wrong_is_a_usage_error(tmp_path: Path, apns: ApnsSimulator) -> None:
    command = Cluster(settings(tmp_path, apns))
    code, out, err = await command.run("message", "send", "--title", "Hello")
    assert (code, out) == (2, "")
    assert "1 to 100 recipients, not 0" in err
    code, out, err = await command.run("message", "show", "nothing")
    assert (code, out) == (2, "")
    assert "no" in err
