"""The demo's crowd: everybody on one channel, and told by the address alone."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from stentor.channels import find
from stentor.cli import crowd
from stentor.cli.crowd import CHANNELS, CHATS, Crowd


@pytest.fixture
def facts(tmp_path: Path) -> dict[str, dict[str, Any]]:
    file = tmp_path / "subscriptions.csv"
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["id", "channel", "address"])
        writer.writerows((number, "webpush", f'{{"endpoint":"{number}"}}') for number in range(5000))
    return {"webpush": {"subscriptions_file": str(file)}}


@pytest.mark.parametrize("channels", [("apns", "fcm"), ("fcm",), ("telegram",), ("discord", "apns"), CHANNELS])
@pytest.mark.parametrize("size", [2, 7, 1000, 4000])
def test_everybody_is_on_one_channel(size: int, channels: tuple[str, ...], facts: dict[str, dict[str, Any]]) -> None:
    people = Crowd(size, channels, facts)
    rows = list(people.rows())
    numbers = [number for number, *_ in rows]
    assert len(set(numbers)) == len(rows) == people.size <= size
    if any(channel not in CHATS for channel in channels):
        assert sorted(numbers) == list(range(1, size + 1))
    for channel in channels:
        mine = list(people.rows_of(channel))
        assert {platform for _, platform, _, _ in mine} <= {crowd.PLATFORMS[channel]}
        assert len(mine) <= CHATS.get(channel, size)
        number_of = people.number_of(channel)
        assert [number_of(address) for _, _, address, _ in mine] == [number for number, *_ in mine]


def test_addresses_are_of_their_channels() -> None:
    for channel in ("apns", "fcm", "telegram", "discord"):
        for _, _, address, _ in Crowd(40, [channel]).rows():
            assert find(channel).check_address(address) is None
