"""Which lane serves which channel: the one place that knows them all. A new channel is a folder and a case here."""

from __future__ import annotations

from collections.abc import Callable

from stentor.config import ApnsApp, AppConfig
from stentor.senders.apns.lane import ApnsLane
from stentor.senders.fcm.lane import FcmLane
from stentor.senders.lane import Lane


def open_lane(name: str, app: AppConfig, clock: Callable[[], float]) -> Lane:
    """The lane of the app `name`. Nothing is read or connected before its first use; `clock` gives epoch seconds."""
    return ApnsLane(app, name, clock) if isinstance(app, ApnsApp) else FcmLane(app, name, clock)
