"""What an operator reads while a cluster is in trouble: each thing once, in the format asked for, and no secret."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from stentor.bench.processes import simulator
from stentor.cli import stage
from stentor.simulators.apns.credentials import mint_key
from tests.integration.cli.commands import RECORD, Cluster
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, providers, write

pytestmark = pytest.mark.timeout(240)  # each starts several processes, which load all they need
PHONES = 40
KEY = "key.p8"
SEND = ("send", "--title", "Hello", "--audience", AUDIENCE, "--yes", "--json")


@pytest.fixture(scope="module")
def facts() -> Iterator[Facts]:
    with providers() as found:
        yield found


def secrets(folder: Path, *keys: str) -> set[str]:
    """The devices' tokens, and the lines of keys."""
    database = sqlite3.connect(folder / stage.DATABASE)
    try:
        tokens = {token for (token,) in database.execute("SELECT token FROM devices")}
    finally:
        database.close()
    return tokens | {line for key in keys for line in key.splitlines() if "-----" not in line}


def with_a_wrong_key(folder: Path, facts: Facts) -> tuple[Path, str, str]:
    """Settings whose key is none that Apple knows; with them the right key, and the wrong one."""
    right, wrong = Path(facts["apns"]["key_file"]), mint_key(folder).path.read_text()
    (folder / KEY).write_text(wrong)
    file = write(folder, facts, PHONES)
    file.write_text(file.read_text().replace(str(right), str(folder / KEY)))
    return file, right.read_text(), wrong


async def test_a_wrong_key_and_what_is_done_about_it(tmp_path: Path, facts: Facts) -> None:
    file, right, wrong = with_a_wrong_key(tmp_path, facts)
    cluster = Cluster(file)
    async with cluster.running("serve", "--log-format", "json") as served:
        campaign = (await cluster.json(*SEND, "--detach"))["id"]
        await served.until("the lane apns/ios is closed: InvalidProviderToken")
        (tmp_path / KEY).write_text(right)
        await served.until_all("the lane apns/ios sends again", f"campaign {campaign} is completed")
        served.process.terminate()
        _, rest = await served.process.communicate()
        assert served.process.returncode == 0
    lines = [*served.log, *rest.decode().splitlines()]
    records: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert {"at", "level", "process", "pid", "logger", "message"} <= records[0].keys()

    def with_fields(**wanted: object) -> list[dict[str, Any]]:
        return [each for each in records if wanted.items() <= each.items()]

    closed, anew, again = with_fields(lane="apns/ios")[-3:]  # before them, perhaps, that the files were first read
    assert (closed["level"], closed["process"]) == ("warning", "sender")
    assert "key" in closed["remedy"]
    assert anew["message"] == "the credentials of apns/ios were read"
    assert again["message"] == "the lane apns/ios sends again"
    assert len(with_fields(lane="fcm/android")) <= 1
    (ended,) = with_fields(campaign=campaign, state="completed")
    assert (ended["title"], ended["counts"]) == ("Hello", {"read": PHONES, "accepted": PHONES})
    told = "\n".join(lines)
    assert [secret for secret in secrets(tmp_path, right, wrong) if secret in told] == []


def provider(stack: ExitStack, name: str, file: Path, **faults: Any) -> Any:
    """A simulated one with these faults."""
    file.write_text(json.dumps(faults))
    return stack.enter_context(simulator(name, "--faults", str(file)))[0]


def spoil_a_batch(store: Path) -> str:
    """Make a queued batch of the lane fcm/android unreadable; returns its id."""
    database = sqlite3.connect(store)
    try:
        (batch,) = database.execute("SELECT min(id) FROM stentor_tasks WHERE lane = 'fcm/android'").fetchone()
        database.execute("UPDATE stentor_payloads SET payload = x'c1' WHERE id = ?", (batch,))
        database.commit()
    finally:
        database.close()
    return str(batch)


async def test_each_record_of_a_campaign_a_batch_or_a_lane_says_which(tmp_path: Path) -> None:
    """A campaign with failures, with a batch that is put aside, and with a lane that closes for a while."""
    with ExitStack() as stack:
        dead = {"devices": {"unregistered": 0.3}}
        facts = {name: provider(stack, name, tmp_path / "faults.json", **dead) for name in ("apns", "fcm")}
        file, right, wrong = with_a_wrong_key(tmp_path, facts)
        file.write_text(file.read_text().replace("senders = 1", "senders = 1\nbatch = 5"))
        cluster = Cluster(file, STENTOR_LOGGING__FORMAT="json", STENTOR_LOGGING__LEVEL="debug")
        logs: list[str] = []
        campaign = (await cluster.json(*SEND, "--detach"))["id"]
        async with cluster.running("worker", "planner") as planner:
            last = await planner.until(r'"step ([^" ]+) was done"')
            while planned(tmp_path / "stentor.db") < PHONES:
                last = await planner.until(r'"step ([^" ]+) was done"')
            planner.process.terminate()
            logs += planner.log + (await planner.process.communicate())[1].decode().splitlines()
        spoiled = spoil_a_batch(tmp_path / "stentor.db")
        async with cluster.running("serve") as served:
            await served.until_all(f"batch {spoiled} is put aside", "the lane apns/ios is closed")
            (tmp_path / KEY).write_text(right)
            await served.until_all("the lane apns/ios sends again", f"campaign {campaign} is completed")
            served.process.terminate()
            logs += served.log + (await served.process.communicate())[1].decode().splitlines()
    records: list[dict[str, Any]] = [json.loads(line) for line in logs]

    def said(text: str) -> list[dict[str, Any]]:
        return [each for each in records if text in each["message"]]

    assert all(each["campaign"] == campaign for each in said(campaign))
    assert all(each["lane"] == "apns/ios" for each in said("lane apns/ios"))
    assert {each["step"] for each in said(last[1])} == {last[1]}
    (aside,) = said(spoiled)
    assert aside["level"] == "error"
    assert (aside["campaign"], aside["lane"], aside["batch"]) == (campaign, "fcm/android", spoiled)
    (ended,) = said("is completed")
    assert ended["counts"]["read"] == PHONES
    assert ended["counts"]["rejected"] > 0
    assert ended["counts"]["ambiguous"] == 5
    told = "\n".join(logs)
    assert [secret for secret in secrets(tmp_path, right, wrong) if secret in told] == []


def planned(store: Path) -> int:
    database = sqlite3.connect(store)
    try:
        (many,) = database.execute("SELECT coalesce(sum(size), 0) FROM stentor_batches").fetchone()
    finally:
        database.close()
    return int(many)


async def test_who_shows_how_it_goes_logs_nothing_unless_asked(tmp_path: Path, facts: Facts) -> None:
    cluster = Cluster(write(tmp_path, facts, PHONES))
    code, _, err = await cluster.run(*SEND)
    assert (code, err) == (0, "")
    code, out, err = await cluster.run(*SEND, "--log-level", "info")
    assert code == 0
    campaign = json.loads(out)["campaign"]["id"]
    lines = err.splitlines()
    assert all(RECORD.fullmatch(line) for line in lines), lines
    ends = f"INFO campaign {campaign} is completed: {PHONES} read, {PHONES} accepted"
    assert [line for line in lines if f"campaign {campaign} starts" in line]
    assert [line for line in lines if line.endswith(ends)]
    assert [secret for secret in secrets(tmp_path) if secret in err] == []


async def test_the_level_may_come_from_a_variable(tmp_path: Path, facts: Facts) -> None:
    cluster = Cluster(write(tmp_path, facts, PHONES), STENTOR_LOGGING__LEVEL="error", STENTOR_LOGGING__FORMAT="json")
    code, _, err = await cluster.run(*SEND)
    assert (code, err) == (0, "")
    code, _, err = await cluster.run(*SEND, "--log-level", "debug")
    assert code == 0
    records = [json.loads(line) for line in err.splitlines()]
    assert any(each["level"] == "debug" and each["process"] == "planner" for each in records)
    wrong = Cluster(cluster.file, STENTOR_LOGGING__FORMAT="xml")
    code, _, err = await wrong.run(*SEND)
    assert (code, err) == (2, "stentor: STENTOR_LOGGING__FORMAT: is 'xml'; it must be 'text' or 'json'\n")
