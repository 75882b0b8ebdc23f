"""What `--json` prints. Times are epoch seconds, durations seconds; docs/command-line.md explains the fields.

Rules: a field that is there stays there with its meaning; programs must take new ones in their stride.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import msgspec

from stentor.audience.contract import Selection
from stentor.cli import words
from stentor.recording.audit import Audit
from stentor.recording.explain import Explanation
from stentor.recording.pruning import Prunable
from stentor.recording.report import FailureRow, LaneCounts, Progress, Report, Totals
from stentor.runtime.preview import Preview
from stentor.runtime.queue_control import Backlog
from stentor.store.campaigns import Campaign

Shape = dict[str, Any]


def say(shape: Shape) -> None:
    """Print one object on a line of stdout."""
    sys.stdout.write(json.dumps(shape, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def selection_of(campaign: Campaign) -> Selection:
    return msgspec.json.decode(campaign.audience, type=Selection)


def campaign(each: Campaign) -> Shape:
    return {
        "id": each.id,
        "title": each.title,
        "state": each.state.value,
        "problem": each.problem,
        "audience": msgspec.to_builtins(selection_of(each)),
        "created_at": each.created_at,
        "starts_at": each.starts_at,
        "expires_at": each.expires_at,
        "finished_at": each.finished_at,
        "planned": each.planned,
        "expected": each.expected,
    }


def listed(each: Campaign, totals: Totals, now: float) -> Shape:
    """A campaign in a list; `now` is in epoch seconds."""
    end = now if each.finished_at is None else each.finished_at
    return campaign(each) | asdict(totals) | {"seconds": round(lasted(each, end), 3)}


def lasted(each: Campaign, end: float) -> float:
    """Seconds from a campaign's start to `end`; 0 before it starts."""
    return 0.0 if each.starts_at is None else max(0.0, end - each.starts_at)


def counts(lane: LaneCounts) -> Shape:
    return asdict(lane)


def progress(now: Progress) -> Shape:
    return {
        "campaign": campaign(now.campaign),
        "total": counts(now.total),
        "lanes": {name: counts(lane) for name, lane in now.lanes.items()},
        "problems": {name: asdict(problem) for name, problem in now.problems.items()},
        "at": now.at,
    }


def report(told: Report) -> Shape:
    total = told.total
    return {
        "campaign": campaign(told.campaign),
        "installations": total.read,
        "accepted": total.accepted,
        "failed": total.failed,
        "cancelled": total.cancelled,
        "pending": total.pending,
        "unread": told.unread,
        "lanes": {name: counts(lane) for name, lane in told.lanes.items()},
        "reasons": [
            {
                "lane": name,
                "reason": each.reason,
                "outcome": each.outcome.name.lower(),
                "count": each.count,
                "status": each.status,
                "meaning": words.meaning(name, each.reason, each.outcome),
                "detail": each.detail,
            }
            for name, reasons in told.reasons.items()
            for each in reasons
        ],
        "dead": told.dead,
        "dead_letters": told.dead_letters,
        "put_aside": [asdict(letter) for letter in told.put_aside],
        "seconds": round(told.seconds, 3),
        "paused": round(told.paused, 3),
        "rate": round(told.rate, 1),
        "at": told.at,
    }


def preview(seen: Preview) -> Shape:
    return {
        "title": seen.title,
        "lanes": {
            name: {
                "recipients": lane.recipients,
                "ceiling": None if lane.ceiling == float("inf") else lane.ceiling,
                "seconds": round(lane.seconds, 1),
                "examples": [
                    {**asdict(each), "payload": each.payload.decode(errors="replace")} for each in lane.examples
                ],
                "looked_at": lane.looked_at,
                "languages": dict(lane.languages),
                "lacking": dict(lane.lacking),
            }
            for name, lane in seen.lanes.items()
        },
        "recipients": seen.recipients,
        "unroutable": seen.unroutable,
        "seconds": round(seen.seconds, 1),
        "warnings": list(seen.warnings),
        "sample": {name: payload.decode(errors="replace") for name, payload in seen.sample.items()},
    }


def pruned(found: Prunable, *, deleted: bool) -> Shape:
    return {**asdict(found), "deleted": deleted}


def backlog(left: Backlog) -> Shape:
    return {
        "drained": left.empty,
        "campaigns": {name: state.value for name, state in left.campaigns.items()},
        "recipients": left.recipients,
        "batches": left.batches,
        "unrecorded": left.unrecorded,
    }


def failure(row: FailureRow, *, address: bool = False) -> Shape:
    """A recipient that was not reached, with its address if that was asked for."""
    shape = {
        **asdict(row),
        "outcome": row.outcome.name.lower(),
        "meaning": words.meaning(row.lane, row.reason, row.outcome),
    }
    if not address:
        del shape["address"]
    return shape


def audit(found: Audit) -> Shape:
    return {
        "campaign": found.campaign_id,
        "state": found.state.value,
        "exact": found.exact,
        "checks": [asdict(check) for check in found.checks],
        "at": found.at,
    }


def explanation(told: Explanation) -> Shape:
    return {
        "campaign": campaign(told.campaign),
        "installation": told.installation,
        "outcome": None if told.outcome is None else told.outcome.name.lower(),
        "place": None if told.place is None else asdict(told.place),
        "waiting": None if told.waiting is None else dict(msgspec.structs.asdict(told.waiting)),
        "failure": None if told.failure is None else failure(told.failure),
        "events": [asdict(event) for event in told.events],
    }
