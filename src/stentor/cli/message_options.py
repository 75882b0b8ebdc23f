"""The options of which a message is made, for each command that sends one, and the content that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from stentor.cli.expanding import expanded
from stentor.errors import InvalidConfiguration, InvalidMessage
from stentor.model import Message, Priority
from stentor.planning.content import Content, content_from
from stentor.runtime.written import duration, pairs

Title = Annotated[str | None, typer.Option(help="The title people see.")]
Body = Annotated[str | None, typer.Option(help="The text people see.")]
Subtitle = Annotated[str | None, typer.Option(help="A second line. Shown on Apple devices only.")]
Image = Annotated[str | None, typer.Option(help="The https address of a picture to show.")]
Sound = Annotated[str | None, typer.Option(help="`default`, or the name of a sound file in your app.")]
Badge = Annotated[int | None, typer.Option(min=0, help="The number on the app's icon; 0 removes it.")]
Data = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Extra data for your app. Repeatable.")]
Silent = Annotated[bool, typer.Option("--silent", help="Show nothing; only wake the app in the background.")]
Ttl = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="How long the message is worth delivering, e.g. 90s, 1h30m or 2d."),
]
Urgency = Annotated[Priority | None, typer.Option("--priority", help="How urgent it is.")]
CollapseKey = Annotated[str | None, typer.Option(help="A device shows only the newest message with the same key.")]
MessageFile = Annotated[
    Path | None,
    typer.Option(
        "--message", help="A TOML or JSON file with the whole message, instead of the options above (docs/message.md)."
    ),
]
Values = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A value for {{ NAME }} in the message, the same for everybody. Shown exactly as given. Repeatable.",
    ),
]


PauseAbove = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        help="Pause by itself if more than this share of a lane's outcomes are failures, e.g. 20%; 100% is never."
        " Default: as `sending.pause_above` says.",
    ),
]
_OPTIONS: Mapping[str, tuple[Any, Any]] = MappingProxyType(
    {
        "title": (Title, None),
        "body": (Body, None),
        "subtitle": (Subtitle, None),
        "image": (Image, None),
        "sound": (Sound, None),
        "badge": (Badge, None),
        "data": (Data, None),
        "silent": (Silent, False),
        "ttl": (Ttl, None),
        "priority": (Urgency, None),
        "collapse_key": (CollapseKey, None),
    }
)
"""The type and the default of each option that stands for a field of the message."""
_FILE: Mapping[str, tuple[Any, Any]] = MappingProxyType({"message": (MessageFile, None), "values": (Values, None)})
"""Those of the options that stand for all of it."""


def takes_message(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options in the place of its parameter `content`, which is then what they make."""
    return expanded(command, "content", {**_OPTIONS, **_FILE}, _content)


def _content(given: Mapping[str, Any]) -> Content:
    return content_of(given["message"], {name: given[name] for name in _OPTIONS}, given["values"])


def content_of(file: Path | None, options: Mapping[str, Any], values: list[str] | None) -> Content:
    """The content that a message file or the options make.

    Args:
        options: by the name of the parameter, as typer gives them; those that weren't given are None, or False.
        values: of `--set`.

    Raises:
        InvalidConfiguration: neither or both are given, or an option cannot be read.
        InvalidMessage: as `content_from`.
    """
    read: dict[str, Any] = {
        **options,
        "data": pairs("--data", options["data"] or []) or None,
        "silent": options["silent"] or None,
        "ttl": None if options["ttl"] is None else round(duration("--ttl", options["ttl"])),
    }
    given = {option: value for option, value in read.items() if value is not None}
    if file is None:
        if not given:
            raise InvalidConfiguration("there is no message: give --title and --body, or --message FILE")
        return with_values(values, lambda filled: Content(message=Message(**given), values=filled))
    if given:
        names = ", ".join(f"--{option.replace('_', '-')}" for option in given)
        raise InvalidConfiguration(f"--message FILE has the whole message, so {names} can't be given as well")
    return with_values(values, lambda filled: content_from(file, filled))


def with_values(values: list[str] | None, make: Callable[[dict[str, str]], Content]) -> Content:
    """The content that `make` makes with the values of `--set`.

    Raises:
        InvalidConfiguration: the values cannot be read, or are of no use to the message.
        InvalidMessage: as `make`, and `Content.check`.
    """
    filled = pairs("--set", values or [])
    with naming_set():
        content = make(filled)
        if filled:
            content.check()
    return content


@contextmanager
def naming_set() -> Iterator[None]:
    """What is found wrong inside with a message's values is said of `--set`, which gave them."""
    try:
        yield
    except InvalidMessage as error:
        place, _, name = error.field.partition(".")
        if place != "values":
            raise
        said = str(error).removeprefix(f"{error.field}: ")
        raise InvalidConfiguration(f"--set{f' {name}' if name else ''}: {said}") from None
