"""Draws `docs/live-view.svg`, the README's picture: `python docs/render_picture.py > docs/live-view.svg`.

What it shows is the live view itself, in the middle of a campaign. A test fails when the two differ.
"""

from __future__ import annotations

import io
import re
import sys

import msgspec
from rich.console import Console

from stentor.audience.contract import Selection
from stentor.cli.live import view
from stentor.recording.rates import LaneRates
from stentor.recording.report import LaneCounts, Progress
from stentor.states import CampaignState
from stentor.store.campaigns import Campaign

START = 1_800_000_000.0
AUDIENCE = {"apns/ios": 640_000, "fcm/android": 420_000, "webpush/web": 85_000, "telegram/bot": 4_800}
SHARES = {"apns/ios": 0.031, "fcm/android": 0.023, "webpush/web": 0.028, "telegram/bot": 0.0059}
"""Of each lane, the part that is done in a second."""
DEAD = 130
"""One in so many is."""
MOMENTS = (4.0, 6.0, 8.0, 10.0, 12.0)
"""Seconds after the start; the last one is what is shown."""
WIDTH = 92
_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
"""They would be fetched from elsewhere."""


def moment(after: float) -> Progress:
    """So many seconds after the start."""
    lanes = {}
    for lane, size in AUDIENCE.items():
        done = int(size * SHARES[lane] * after)
        dead = done // DEAD
        waiting = min(size - done, 64_000)
        lanes[lane] = LaneCounts(
            read=done + waiting,
            queued=waiting - waiting // 8,
            in_flight=waiting // 8,
            accepted=done - dead,
            rejected=dead,
        )
    campaign = Campaign(
        id="01pvm4e7tk0x9q2r",
        title="Spring sale",
        state=CampaignState.RUNNING,
        audience=msgspec.json.encode(Selection(source="users")),
        collapse_id="01pvm4e7tk0x9q2r",
        created_at=START,
        starts_at=START,
        expected=AUDIENCE,
    )
    return Progress(campaign=campaign, lanes=lanes, at=START + after)


def picture() -> str:
    """As SVG."""
    pace = LaneRates()
    for after in MOMENTS:
        pace.add(moment(after))
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(view(moment(MOMENTS[-1]), pace))
    drawn = console.export_svg(title="stentor send --message sale.toml --audience users", unique_id="stentor")
    return _FONTS.sub("", drawn)


if __name__ == "__main__":
    sys.stdout.write(picture())
