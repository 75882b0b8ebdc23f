"""From settings to lanes: which lane serves which app is known by its channel alone."""

from __future__ import annotations

from collections.abc import Callable

from stentor import channels
from stentor.providers.lane import Lane
from stentor.settings import App


def open_lane(name: str, app: App, clock: Callable[[], float]) -> Lane:
    """The lane of the app `name`. Nothing is read or connected before its first use; `clock` gives epoch seconds."""
    lane: Lane = channels.find(app.channel).open(name, app, clock)
    return lane
