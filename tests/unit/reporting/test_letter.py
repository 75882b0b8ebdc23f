"""What people read of an event, in each form."""

from __future__ import annotations

from typing import Any

import pytest

from stentor.queue.contract import PLAN
from stentor.reporting.events import EventKind
from stentor.reporting.letter import calls_nobody, lasted, letter_of, markdown_escaped, share, slack_escaped
from tests.unit.reporting.samples import campaign_event, lane_event, reason

TEXT = """\
Campaign: Spring sale (c1)
Message: Hello
Audience: users
Installations: 1,000
Accepted: 998 (99.8 %)
Failed: 2, 2 of them because the address is dead
Duration: 2 seconds
Rate: 500 per second

Not reached, by reason:
- 2 × Unregistered on apns/ios: The app was removed from the device.

Accepted means that the provider took the message. Providers don't say whether a phone showed it.

Details: https://push.example.com/campaigns/c1"""


def test_the_report_of_a_campaign_that_was_sent() -> None:
    letter = letter_of(campaign_event())
    assert letter.title == "“Spring sale” was sent: 998 of 1,000 accepted"
    assert letter.text() == TEXT


@pytest.mark.parametrize(
    ("kind", "title", "lead"),
    [
        (
            EventKind.FAILED,
            "“Spring sale” failed: 998 of 1,000 accepted",
            "It is too large. Nothing more of it is sent.",
        ),
        (EventKind.CANCELLED, "“Spring sale” was cancelled: 998 of 1,000 accepted before that", ""),
        (
            EventKind.PAUSED,
            "“Spring sale” is paused, because something is wrong",
            "It is too large. Once that is fixed, `stentor campaign resume c1` goes on with it.",
        ),
        (
            EventKind.STALLED,
            "“Spring sale” stands still",
            "Nothing has happened for 5 minutes. `stentor campaign show c1` says where its recipients are.",
        ),
    ],
)
def test_each_event_of_a_campaign_says_what_happened_and_what_to_do(kind: EventKind, title: str, lead: str) -> None:
    letter = letter_of(campaign_event(kind, still_for=300.0, problem="it is too large"))
    assert letter.title == title
    assert " ".join(letter.lead) == lead


def test_a_lane_that_stopped_and_sends_again() -> None:
    stopped = letter_of(lane_event(EventKind.LANE_STOPPED, waiting=["Spring sale"]))
    assert stopped.title == "apns/ios has stopped sending"
    assert stopped.text() == (
        "ExpiredProviderToken: no key. Fix the credentials. Nothing is lost: what is queued is sent once it goes on."
        "\n\nCampaigns that wait for it:\n- Spring sale"
    )
    assert letter_of(lane_event(EventKind.LANE_RESUMED)).title == "apns/ios sends again"
    assert letter_of(lane_event(EventKind.LANE_STOPPED, PLAN)).title == "Planning has stopped"
    assert letter_of(lane_event(EventKind.LANE_RESUMED, PLAN)).title == "Planning goes on again"


@pytest.mark.parametrize("kind", EventKind)
def test_nothing_that_was_accepted_is_called_delivered(kind: EventKind) -> None:
    lane = kind in (EventKind.LANE_STOPPED, EventKind.LANE_RESUMED)
    letter = letter_of(lane_event(kind) if lane else campaign_event(kind))
    for text in (letter.title, letter.text(), letter.html(), letter.markdown(markdown_escaped)):
        assert "deliver" not in text.lower()


def test_the_test_says_that_it_is_one() -> None:
    letter = letter_of(campaign_event(EventKind.TEST))
    assert letter.title.startswith("Test: ")
    assert "This is a test" in letter.text()


def test_numbers_that_differ_are_explained() -> None:
    facts: dict[str, Any] = {"expected": 1200, "unread": 200, "pending": 5, "cancelled": 7, "paused": 60.0}
    text = letter_of(campaign_event(**facts, other_reasons=3)).text()
    for line in (
        "Installations: 1,000, of 1,200 counted before",
        "Not read any more: about 200",
        "Still to be sent: 5",
        "Cancelled before they were sent: 7",
        "Duration: 2 seconds, not counting 60 seconds of pauses",
        "- 3 for other reasons",
    ):
        assert line in text.splitlines()


def test_nobodys_text_formats_links_or_calls_anybody() -> None:
    rude = "*Sale* [x](http://evil) <b>&lt; @everyone <!channel> <@U1> _a_ `b`"
    letter = letter_of(campaign_event(title=rude, reasons=[reason("Bad_Token", meaning="<i>")]))
    html = letter.html()
    assert "<i>" not in html
    assert "&lt;!channel&gt;" in html
    markdown = letter.markdown(markdown_escaped)
    assert r"\*Sale\* \[x\](http://evil)" in markdown
    assert "@everyone" not in markdown
    assert r"Bad\_Token" in markdown
    assert "<!" not in letter.markdown(slack_escaped).replace(r"\<\!", "")
    assert "@everyone" not in calls_nobody(letter.text())
    assert "<@U1" not in calls_nobody(letter.text())


def test_a_long_title_is_cut() -> None:
    letter = letter_of(campaign_event(title="x" * 1000 + "\nsecond line"))
    assert len(letter.title) < 300
    assert "\n" not in letter.title


def test_the_link_is_shown_whole_in_html() -> None:
    """Mail programs that show text alone would leave it out."""
    link = "https://push.example.com/campaigns/c1"
    assert f'<a href="{link}">{link}</a>' in letter_of(campaign_event()).html()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0.4 seconds"),
        (6.0, "6 seconds"),
        (119.96, "120.0 seconds"),
        (120, "2 minutes"),
        (3660, "1 hour 1 minute"),
        (7200, "2 hours"),
        (500_000, "6 days"),
    ],
)
def test_how_long_something_lasted(seconds: float, said: str) -> None:
    assert lasted(seconds) == said


def test_a_share_is_all_only_of_all() -> None:
    assert [share(part, 1_000_000) for part in (0, 1, 999_999, 1_000_000)] == ["0 %", "0.1 %", "99.9 %", "100 %"]


def test_of_a_lane_some_of_whose_hosts_are_silent_only_a_part_has_stopped() -> None:
    letter = letter_of(lane_event(EventKind.LANE_STOPPED, "webpush/web", part=30))
    assert letter.title == "A part of webpush/web has stopped sending"
