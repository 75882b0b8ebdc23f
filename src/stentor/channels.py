"""The channels that there are: Stentor's own, and those that installed packages add. A channel is one folder.

Its `channel.py` has a `CHANNEL`, which says what the rest of the house must know of it. Stentor's own are in
`BUILT_IN`; a package adds one by an entry point of the group `stentor.channels`, named as the channel, that leads to
its `CHANNEL` (docs/channels.md shows how). Rules: a `channel.py` loads none of its channel's libraries, as every
process reads the settings of all; who has no app on a channel of another package never looks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any

from stentor.errors import InvalidConfiguration
from stentor.settings import App

GROUP = "stentor.channels"
BUILT_IN = MappingProxyType(
    {
        "apns": "stentor.providers.apns.channel",
        "fcm": "stentor.providers.fcm.channel",
        "telegram": "stentor.providers.telegram.channel",
        "webpush": "stentor.providers.webpush.channel",
        "discord": "stentor.providers.discord.channel",
        "webhook": "stentor.providers.webhook.channel",
    }
)
"""Module by channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadAddress:
    """Why a text can be no address of a channel. Neither text holds the address."""

    rule: str
    """The same words for the same mistake, so that they can be counted."""
    detail: str
    """What an address looks like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What a channel adds."""

    name: str
    title: str
    """As the provider writes it."""
    app: type[App]
    """The table of an app in `stentor.toml`; its `channel` is of type `Literal[name]`."""
    lane: str
    """`module:class` of its `providers.lane.Lane`, which is made of an app's settings, its name, and a clock."""
    table: str
    """`module:name` of its reasons, `providers.contract.Rule`s."""
    check_address: Callable[[str], BadAddress | None] = lambda _: None
    """Why a text can be no address of it."""
    by_receipt: bool = False
    """Whether a message is edited and deleted by what the provider gave for it (`providers.contract.Taken`). Elsewhere
    it is replaced, by one of the same collapse id."""
    on_record: bool = False
    """Whether nobody is sent a message of it without being on record before, as nothing would show a second one in
    place of the first (`pace.intents`). Where that depends on the message, no."""
    receipt_beside: bool = False
    """Whether an undo needs what the provider gave beside the address (`batch.beside`)."""
    example_app: str
    """What its app is called in the file that `stentor init` writes."""

    def open(self, name: str, app: App, clock: Callable[[], float]) -> Any:
        """The lane of the app of that name; `clock` gives epoch seconds.

        Raises: InvalidConfiguration: there is none where `lane` says.
        """
        return self._load(self.lane)(app, name, clock)

    def rules(self) -> Iterable[Any]:
        """Its reasons. Raises: as `open`."""
        found: Iterable[Any] = self._load(self.table)
        return found

    def _load(self, where: str) -> Any:
        try:
            return resolve_name(where)
        except (ImportError, AttributeError, ValueError) as error:
            raise InvalidConfiguration(f"the channel {self.name!r} cannot be loaded from {where!r}: {error}") from error


@cache
def find(name: str) -> Channel:
    """The channel of that name.

    Raises: InvalidConfiguration: there is none, or its package cannot be loaded.
    """
    if name in BUILT_IN:
        found: Channel = import_module(BUILT_IN[name]).CHANNEL
        return found
    entry = _added().get(name)
    if entry is None:
        raise InvalidConfiguration(f"there is no channel {name!r}; there are {', '.join(names())}")
    try:
        loaded = entry.load()
    except (ImportError, AttributeError) as error:
        raise InvalidConfiguration(f"the channel {name!r} cannot be loaded from {entry.value}: {error}") from error
    if not isinstance(loaded, Channel) or loaded.name != name:
        raise InvalidConfiguration(f"{entry.value} is not the channel {name!r} that its package says it is")
    return loaded


def is_on_record(lane: str) -> bool:
    """See `Channel.on_record`; of a lane (`channel/app`), also of one whose channel isn't installed any more."""
    try:
        return find(lane.partition("/")[0]).on_record
    except InvalidConfiguration:
        return False


def names() -> tuple[str, ...]:
    """All that can be found, Stentor's own first."""
    return (*BUILT_IN, *sorted(set(_added()) - set(BUILT_IN)))


@cache
def _added() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
