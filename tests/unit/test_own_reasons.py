"""The reasons that Stentor itself gives: each has a meaning, and is on the page about campaigns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stentor import account, own_reasons
from stentor.audience.contract import UNREADABLE_ROW
from stentor.channels import BUILT_IN, find
from stentor.outcome import Outcome
from stentor.own_reasons import MEANINGS, sent
from stentor.planning import division, restoring
from stentor.providers import contract, http_lane, rendering
from stentor.recording import meanings, refused
from stentor.sending import judging, settling

DOCS = Path(__file__).parents[2] / "docs"
GIVEN = {
    *(account.DEAD_LETTER, account.INTERRUPTED, UNREADABLE_ROW, division.NO_LANE_REASON, division.TOO_LARGE_REASON),
    *(restoring.GONE_REASON, contract.MALFORMED_ADDRESS, contract.UNREADABLE, contract.NOWHERE.reason),
    *(contract.not_processed("").reason, contract.ambiguous("").reason, http_lane.PACE, http_lane.MOVED_TWICE),
    *(http_lane.FORBIDDEN_HOST, rendering.TEMPLATE_ERROR, rendering.PAYLOAD_TOO_LARGE, rendering.INVALID_MESSAGE),
    *(own_reasons.NO_ZONE, own_reasons.PAST_LOCAL_TIME, own_reasons.QUIET_EXPIRED),
    own_reasons.NOT_IN_AUDIENCE,
    *(own_reasons.OPTED_OUT, own_reasons.EXCLUDED, own_reasons.CAPPED),
    *(own_reasons.SKIPPED, refused.UNRECORDABLE, judging.LIFETIME.reason, settling.UNSENT),
}


def test_each_has_a_meaning() -> None:
    assert set(MEANINGS) == GIVEN
    assert all(told.endswith(".") for told in MEANINGS.values())


@pytest.mark.parametrize("reason", sorted(GIVEN))
def test_none_is_without_a_word_on_any_lane(reason: str) -> None:
    for channel in BUILT_IN:
        assert meanings.meaning(f"{channel}/app", reason, Outcome.REJECTED), channel
    assert meanings.meaning("gone/app", reason, Outcome.REJECTED), "a channel whose package isn't there any more"


def test_a_provider_s_own_meaning_comes_first() -> None:
    (rule,) = (rule for rule in find("apns").rules() if rule.reason == "PayloadTooLarge")
    assert meanings.meaning("apns/ios", "PayloadTooLarge", Outcome.REJECTED) == rule.meaning


def test_the_page_lists_them() -> None:
    page = (DOCS / "campaigns.md").read_text("utf-8")
    table = page.partition("Some reasons come from Stentor")[2].partition("## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == GIVEN


@pytest.mark.parametrize(
    ("reason", "status", "tries", "real"),
    [
        ("MalformedAddress", 0, 1, 0),
        ("MalformedAddress", 0, 3, 2),
        ("NoLane", 0, 0, 0),
        ("PayloadTooLarge", 413, 1, 1),  # the provider said so
        ("Unregistered", 410, 2, 2),
        ("NoAnswer", 0, 1, 1),
    ],
)
def test_what_ended_before_it_was_sent_was_not_tried(reason: str, status: int, tries: int, real: int) -> None:
    assert sent(reason, status, tries) == real
