"""Stentor sends one message to millions of installations, with none dropped and every one accounted for.

A campaign (one message, one audience) goes over APNs, FCM and other channels as fast as the wire allows, straight
from the app's own database. `docs/README.md` shows the way around; the layout follows the flow, a folder a stage.

The names in `__all__` are the library: `Stentor`, or its twin `BlockingStentor` for programs without an event loop, and
what they take. They are loaded when first asked for, so that a part of Stentor can be used without all the others.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from stentor.version import __version__

if TYPE_CHECKING:
    from stentor.audience.contract import Selection
    from stentor.config import Config, load
    from stentor.model import Message
    from stentor.planning.content import Content, Translation
    from stentor.runtime.blocking import BlockingStentor
    from stentor.runtime.stentor import Stentor

__all__ = [
    "BlockingStentor",
    "Config",
    "Content",
    "Message",
    "Selection",
    "Stentor",
    "Translation",
    "__version__",
    "load",
]

_HOMES = {
    "BlockingStentor": "stentor.runtime.blocking",
    "Config": "stentor.config",
    "Content": "stentor.planning.content",
    "Message": "stentor.model",
    "Selection": "stentor.audience.contract",
    "Stentor": "stentor.runtime.stentor",
    "Translation": "stentor.planning.content",
    "load": "stentor.config",
}


# A program that sets up no log hears of trouble by what it calls; nothing of ours goes to its standard error besides.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
