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
    from stentor.audience.contract import Condition, Selection
    from stentor.config import Config, load
    from stentor.model import (
        ApnsOptions,
        DiscordOptions,
        FcmOptions,
        Message,
        Priority,
        TelegramOptions,
        WebhookOptions,
        WebPushOptions,
    )
    from stentor.planning.content import Content, TemplateLanguage, Translation, content_from
    from stentor.runtime.blocking import BlockingStentor
    from stentor.runtime.changes import (
        CampaignEnded,
        CampaignEvent,
        CampaignsNow,
        LaneRecovered,
        LaneTrouble,
        ProgressMade,
        ReportReady,
        Snapshot,
        StateChanged,
        StoreAway,
    )
    from stentor.runtime.draft import Draft
    from stentor.runtime.push import Pushed, push
    from stentor.runtime.stentor import Stentor
    from stentor.store.caring import CareSettings

__all__ = [
    "ApnsOptions",
    "BlockingStentor",
    "CampaignEnded",
    "CampaignEvent",
    "CampaignsNow",
    "CareSettings",
    "Condition",
    "Config",
    "Content",
    "DiscordOptions",
    "Draft",
    "FcmOptions",
    "LaneRecovered",
    "LaneTrouble",
    "Message",
    "Priority",
    "ProgressMade",
    "Pushed",
    "ReportReady",
    "Selection",
    "Snapshot",
    "StateChanged",
    "Stentor",
    "StoreAway",
    "TelegramOptions",
    "TemplateLanguage",
    "Translation",
    "WebPushOptions",
    "WebhookOptions",
    "__version__",
    "content_from",
    "load",
    "push",
]

_HOMES = {
    "ApnsOptions": "stentor.model",
    "BlockingStentor": "stentor.runtime.blocking",
    "CampaignEnded": "stentor.runtime.changes",
    "CampaignEvent": "stentor.runtime.changes",
    "CampaignsNow": "stentor.runtime.changes",
    "CareSettings": "stentor.store.caring",
    "Condition": "stentor.audience.contract",
    "Config": "stentor.config",
    "Content": "stentor.planning.content",
    "DiscordOptions": "stentor.model",
    "Draft": "stentor.runtime.draft",
    "FcmOptions": "stentor.model",
    "LaneRecovered": "stentor.runtime.changes",
    "LaneTrouble": "stentor.runtime.changes",
    "Message": "stentor.model",
    "Priority": "stentor.model",
    "ProgressMade": "stentor.runtime.changes",
    "Pushed": "stentor.runtime.push",
    "ReportReady": "stentor.runtime.changes",
    "Selection": "stentor.audience.contract",
    "Snapshot": "stentor.runtime.changes",
    "StateChanged": "stentor.runtime.changes",
    "Stentor": "stentor.runtime.stentor",
    "StoreAway": "stentor.runtime.changes",
    "TelegramOptions": "stentor.model",
    "TemplateLanguage": "stentor.planning.content",
    "Translation": "stentor.planning.content",
    "WebPushOptions": "stentor.model",
    "WebhookOptions": "stentor.model",
    "content_from": "stentor.planning.content",
    "load": "stentor.config",
    "push": "stentor.runtime.push",
}


# A program that sets up no log hears of trouble by what it calls; nothing of ours goes to its standard error besides.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
