"""Who is in the demo: installations by number, each on one channel, with an address that its number follows from.

Rules: whoever is in a simulator's ledger is told by the address alone; pushes go to as many as are wanted, while of
chats there are few, since their providers allow some dozens a second.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PUSHES = ("apns", "fcm", "webpush")
CHATS = {"telegram": 300, "discord": 300}
"""Installations of these channels at most."""
CHANNELS = (*PUSHES, *CHATS)
USUAL = ("apns", "fcm")
PLATFORMS = {"apns": "ios", "fcm": "android", "webpush": "web", "telegram": "telegram", "discord": "discord"}
"""What the app's table calls each channel."""
LANGUAGES = ("en", "de", "fr", "pt-BR")
FIRST_CHAT, FIRST_CHANNEL = 10_000_000, 100_000_000_000_000_000

Row = tuple[int, str, str, str]
"""A row of the table: number, platform, address, language."""


class Crowd:
    """Up to so many installations: fewer where there are chats only."""

    def __init__(self, size: int, channels: Sequence[str] = USUAL, facts: Mapping[str, Mapping[str, Any]] = {}) -> None:
        """Args:
        facts: what the simulators say of themselves, by channel; Web Push's has subscriptions.
        """
        self._numbers = numbers(size, channels)
        self.size = sum(map(len, self._numbers.values()))
        self._subscriptions = _subscriptions(facts["webpush"]) if "webpush" in channels else []

    def __repr__(self) -> str:
        return f"<Crowd of {self.size} on {', '.join(self._numbers)}>"

    def numbers(self, channel: str) -> range:
        """Those on a channel."""
        return self._numbers[channel]

    def rows(self) -> Iterator[Row]:
        """All of them, by channel."""
        for channel in self._numbers:
            yield from self.rows_of(channel)

    def rows_of(self, channel: str) -> Iterator[Row]:
        """Those of a channel, in order."""
        numbers = self._numbers[channel]
        for place, number in enumerate(numbers):
            address = self._subscriptions[place] if channel == "webpush" else _ADDRESSES[channel](number)
            yield number, PLATFORMS[channel], address, LANGUAGES[number // 2 % len(LANGUAGES)]

    def number_of(self, channel: str) -> Callable[[str], int]:
        """Tells whose an address is."""
        if channel == "webpush":
            return dict(zip(self._subscriptions, self._numbers[channel], strict=False)).__getitem__
        return _NUMBERS[channel]


def numbers(size: int, channels: Sequence[str]) -> dict[str, range]:
    """Who is on which channel. Pushes share the lower numbers in turn, each kind of chat has some of the upper ones."""
    pushes = [channel for channel in channels if channel in PUSHES]
    found: dict[str, range] = {}
    last = size
    for channel in channels:
        if channel in CHATS:
            first = last - min(CHATS[channel], size // len(channels)) + 1
            found[channel] = range(first, last + 1)
            last = first - 1
    return {channel: range(place + 1, last + 1, len(pushes)) for place, channel in enumerate(pushes)} | found


def _subscriptions(facts: Mapping[str, Any]) -> list[str]:
    with Path(facts["subscriptions_file"]).open(newline="", encoding="utf-8") as file:
        return [row["address"] for row in csv.DictReader(file)]


_ADDRESSES: Mapping[str, Callable[[int], str]] = {
    "apns": lambda number: f"{number:064x}",
    "fcm": lambda number: f"phone{number:017}:APA91b{number:0134}",
    "telegram": lambda number: str(FIRST_CHAT + number),
    "discord": lambda number: str(FIRST_CHANNEL + number),
}
_NUMBERS: Mapping[str, Callable[[str], int]] = {
    "apns": lambda address: int(address, 16),
    "fcm": lambda address: int(address.partition(":")[0].removeprefix("phone")),
    "telegram": lambda address: int(address) - FIRST_CHAT,
    "discord": lambda address: int(address) - FIRST_CHANNEL,
}
