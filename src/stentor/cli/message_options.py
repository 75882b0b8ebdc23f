"""The options of which a message is made, for each command that sends one, and the content that they make."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from stentor.cli.expanding import expanded
from stentor.errors import InvalidConfiguration, InvalidMessage
from stentor.model import Message, Priority
from stentor.planning.content import Content, content_from
from stentor.runtime.stentor import Stentor
from stentor.runtime.written import duration, pairs
from stentor.store.templates import UsedTemplate

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
TemplateName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME[@VERSION]",
        help="A saved template, in place of a message (`stentor template list`). Left out: its newest version.",
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
_FILE: Mapping[str, tuple[Any, Any]] = MappingProxyType({"message": (MessageFile, None)})
_FILLED: Mapping[str, tuple[Any, Any]] = MappingProxyType({**_FILE, "values": (Values, None)})
_TEMPLATE: Mapping[str, tuple[Any, Any]] = MappingProxyType({**_FILLED, "template": (TemplateName, None)})
_IN_PLACE_OF: Mapping[str, Mapping[str, tuple[Any, Any]]] = MappingProxyType(
    {"content": _FILLED, "unfilled": _FILE, "said": _TEMPLATE}
)
"""By the parameter of a command, those of the options that stand for all of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command is to send: a message, or a saved template."""

    content: Content | None
    template: str | None
    """`NAME` or `NAME@VERSION`; in place of the content."""
    values: Sequence[str]
    """Of `--set`, for the template."""

    async def told(self, stentor: Stentor) -> tuple[Content, UsedTemplate | None]:
        """The content, and the template that it was made from.

        Raises:
            InvalidInput: there is no such template.
            InvalidConfiguration: the values cannot be read, or are of no use to the template.
        """
        if self.content is not None:
            return self.content, None
        assert self.template is not None
        with naming_set():
            return await stentor.templates.filled(self.template, pairs("--set", self.values))


def takes_message(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options in the place of one of its parameters, which is then what they make.

    The parameter is `content`, or `unfilled` for a message without values of its own: a `Content`. Or it is `said`, for
    a message or a saved template: a `Said`.
    """
    (place,) = inspect.signature(command).parameters.keys() & _IN_PLACE_OF.keys()
    return expanded(command, place, {**_OPTIONS, **_IN_PLACE_OF[place]}, partial(_made, place))


def _made(place: str, given: Mapping[str, Any]) -> Content | Said | None:
    options = {name: given[name] for name in _OPTIONS}
    file, values, template = given["message"], given.get("values"), given.get("template")
    if template is None:
        content = content_of(file, options, values)
    else:
        _refuse_beside("--template NAME", _read(options) | ({} if file is None else {"message": file}))
        content = None
    return Said(content=content, template=template, values=values or ()) if place == "said" else content


def content_of(file: Path | None, options: Mapping[str, Any], values: list[str] | None) -> Content:
    """The content that a message file or the options make.

    Args:
        options: by the name of the parameter, as typer gives them; those that weren't given are None, or False.
        values: of `--set`.

    Raises:
        InvalidConfiguration: neither or both are given, or an option cannot be read.
        InvalidMessage: as `content_from`.
    """
    given = _read(options)
    if file is None:
        if not given:
            raise InvalidConfiguration("there is no message: give --title and --body, or --message FILE")
        return with_values(values, lambda filled: Content(message=Message(**given), values=filled))
    _refuse_beside("--message FILE", given)
    return with_values(values, lambda filled: content_from(file, filled))


def _read(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a message that were given as options. Raises: InvalidConfiguration: one cannot be read."""
    read: dict[str, Any] = {
        **options,
        "data": pairs("--data", options["data"] or []) or None,
        "silent": options["silent"] or None,
        "ttl": None if options["ttl"] is None else round(duration("--ttl", options["ttl"])),
    }
    return {option: value for option, value in read.items() if value is not None}


def _refuse_beside(whole: str, given: Mapping[str, Any]) -> None:
    """Raises: InvalidConfiguration: something is given beside what has all of the message."""
    if given:
        names = ", ".join(f"--{option.replace('_', '-')}" for option in given)
        raise InvalidConfiguration(f"{whole} has the whole message, so {names} can't be given as well")


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
