"""What an operator reads while a cluster is in trouble: each thing once, in the format asked for, and no secret."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
