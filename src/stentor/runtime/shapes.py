"""What is told of previews, of roles and of the queue as JSON; `recording/shapes.py` has what is told of campaigns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from stentor.providers.payload import PayloadSize
from stentor.recording.shapes import LaneProblemShape, Shape, problem
from stentor.runtime.preview import Preview
from stentor.runtime.queue_control import Backlog
from stentor.runtime.role_signs import RoleStatus
from stentor.store.role_processes import ProcessSign


class ExampleShape(Shape, frozen=True, kw_only=True):
    """What somebody would get."""

    installation: str
    """Whose it is; empty if everybody on the lane gets the same."""
    language: str
    """The translation; empty for the message itself."""
    payload: str
    """What the provider would be sent."""


class TagServedShape(Shape, frozen=True, kw_only=True):
    """Which translation installations get whose language is written in one way."""

    tag: str
    """As the installations have it; empty: they say no language."""
    language: str
    """The translation that serves this tag; empty for the message itself."""
    installations: int
    """How many of those looked at."""


class LanguageSizeShape(Shape, frozen=True, kw_only=True):
    """How much of a provider's limit the message takes in one language."""

    language: str
    """The translation; empty for the message itself."""
    installation: str
    """For whom: of those looked at, the one whose message is longest. Empty: for nobody, without personal data."""
    what: str
    """What the provider limits: `payload`, `text`, `caption`, `embeds`, or a field of an embed."""
    size: int
    limit: int
    unit: str
    """`bytes` or `characters`, as the provider counts."""
    left: int
    """How much more there may be. Below 0: it is too large, and would be rejected."""


class LanePreviewShape(Shape, frozen=True, kw_only=True):
    """What a campaign would send on one lane."""

    recipients: int
    ceiling: float | None
    """The most pushes a second. Null: nobody names a limit."""
    seconds: float
    """How long it takes at least."""
    examples: Sequence[ExampleShape]
    looked_at: int
    """Of how many installations the following is told; 0: everybody gets the same."""
    languages: Mapping[str, int]
    """How many of these get each translation."""
    tags: Sequence[TagServedShape]
    """Which translation each language tag of these gets: the 100 most frequent tags."""
    lacking: Mapping[str, int]
    """How many of these have no value of a name that a template uses."""
    sizes: Sequence[LanguageSizeShape]
    """How much of the provider's limit the message takes, in each language. Empty: the provider names no limit."""


class PreviewShape(Shape, frozen=True, kw_only=True):
    """What a campaign would do. Nothing was written or sent."""

    title: str
    lanes: Mapping[str, LanePreviewShape]
    recipients: int
    unroutable: int
    """Installations whose channel or app isn't configured. They would be rejected."""
    seconds: float
    """How long it takes at least."""
    warnings: Sequence[str]
    left_out: Mapping[str, int]
    """Those of `recipients` who would get nothing by a rule, by reason: `OptedOut`, `Excluded`, `Capped`."""
    left_out_about: bool
    """Whether these are estimates, by a part of the audience that was looked at."""
    sample: Mapping[str, str]
    """By lane, the payload of its first example."""
    confirmation: str
    """Pass it on when you start the campaign: then only this message starts, for this audience and about this count."""


class BacklogShape(Shape, frozen=True, kw_only=True):
    """What is under way."""

    drained: bool
    """Nothing is."""
    campaigns: Mapping[str, str]
    """Their states, by id."""
    recipients: int
    """Planned, and without an outcome."""
    batches: int
    """In the queue."""
    unrecorded: int
    """Messages of senders that recorders haven't written down yet."""


class RoleSignShape(Shape, frozen=True, kw_only=True):
    """What the work shows of a role."""

    role: str
    """`planner`, `sender`, `recorder` or `scheduler`."""
    lane: str | None
    """Of senders, the lane. Null: the role works for all lanes."""
    state: str
    """`working`: it holds work. `idle`: there is nothing for it to do. `waited_for`: there is work that nobody holds
    just now. `hindered`: there is work, and the lane has a problem."""
    problem: LaneProblemShape | None
    """Why its work stands still, and what to do. Work that nobody takes is a problem after some seconds."""


class RoleProcessShape(Shape, frozen=True, kw_only=True):
    """A process that does a role's work. It shows itself every ten seconds, and takes leave when it stops."""

    id: str
    """Drawn by the process when it starts."""
    role: str
    """`planner`, `sender`, `recorder`, `scheduler` or `api`."""
    host: str
    """The name of its machine or container."""
    pid: int
    version: str
    """Of Stentor."""
    started_at: float
    seen_at: float
    """When it showed itself last."""
    silent_for: float
    """Seconds since then."""
    silent: bool
    """Whether it has shown no sign for 30 s: it may have been killed, or cut off from the store. It is forgotten after
    an hour."""
    lanes: Sequence[str]
    """Those that a sender serves."""


class RolesShape(Shape, frozen=True, kw_only=True):
    """The roles by their work, and the processes that do it. All times are the store's."""

    roles: Sequence[RoleSignShape]
    processes: Sequence[RoleProcessShape]
    """Those that run, and those that ended without taking leave within the last hour."""


def roles(signs: Sequence[RoleStatus], processes: Sequence[ProcessSign]) -> RolesShape:
    return RolesShape(
        roles=[
            RoleSignShape(
                role=each.role,
                lane=each.lane,
                state=each.state.value,
                problem=None if each.problem is None else problem(each.problem),
            )
            for each in signs
        ],
        processes=[
            RoleProcessShape(
                id=each.id,
                role=each.role,
                host=each.host,
                pid=each.pid,
                version=each.version,
                started_at=each.started_at,
                seen_at=each.seen_at,
                silent_for=round(each.silent_for, 1),
                silent=each.is_silent,
                lanes=sorted(each.lanes),
            )
            for each in processes
        ],
    )


def preview(seen: Preview) -> PreviewShape:
    return PreviewShape(
        title=seen.title,
        lanes={
            name: LanePreviewShape(
                recipients=lane.recipients,
                ceiling=None if math.isinf(lane.ceiling) else lane.ceiling,
                seconds=round(lane.seconds, 1),
                examples=[
                    ExampleShape(
                        installation=each.installation,
                        language=each.language,
                        payload=each.payload.decode(errors="replace"),
                    )
                    for each in lane.examples
                ],
                looked_at=lane.looked_at,
                languages=dict(lane.languages),
                tags=[
                    TagServedShape(tag=each.tag, language=each.language, installations=each.installations)
                    for each in lane.tags
                ],
                lacking=dict(lane.lacking),
                sizes=[
                    LanguageSizeShape(language=each.language, installation=each.installation, **_size(each.size))
                    for each in lane.sizes
                ],
            )
            for name, lane in seen.lanes.items()
        },
        recipients=seen.recipients,
        unroutable=seen.unroutable,
        seconds=round(seen.seconds, 1),
        warnings=list(seen.warnings),
        left_out=dict(seen.left_out),
        left_out_about=not seen.left_out_exact,
        sample={name: payload.decode(errors="replace") for name, payload in seen.sample.items()},
        confirmation=seen.confirmation,
    )


def _size(found: PayloadSize) -> dict[str, Any]:
    return {
        "what": found.what,
        "size": found.size,
        "limit": found.limit,
        "unit": found.unit,
        "left": found.left,
    }


def backlog(left: Backlog) -> BacklogShape:
    return BacklogShape(
        drained=left.empty,
        campaigns={name: state.value for name, state in left.campaigns.items()},
        recipients=left.recipients,
        batches=left.batches,
        unrecorded=left.unrecorded,
    )
