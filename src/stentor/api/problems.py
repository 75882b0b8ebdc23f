"""What went wrong, as `application/problem+json` (RFC 9457): one table of all problems, for answers, document and docs.

Rules: a problem's slug never changes its meaning; programs tell problems apart by it, people read `detail`. An error
that names a field becomes a JSON pointer (RFC 6901) into the body, or the name of a parameter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from stentor import errors
from stentor.api.instead import for_programs
from stentor.errors import InvalidInput, InvalidMessage, StentorError
from stentor.recording.shapes import Shape

CONTENT_TYPE = "application/problem+json"
PLACE = "/v1/problems/"
"""What a problem's `type` begins with; the API shows there what it means."""
_INDEX = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemKind:
    """A kind of problem."""

    slug: str
    status: int
    title: str
    remedy: str
    """What whoever asked can do, in a sentence or two."""

    @property
    def type(self) -> str:
        return PLACE + self.slug


class FieldProblem(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """What is wrong with one field."""

    detail: str
    pointer: str | None = None
    """Where it is in the body, as a JSON pointer (RFC 6901)."""
    parameter: str | None = None
    """Or the name of the parameter in the query or the path."""


class ProblemDocument(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong (RFC 9457)."""

    type: str
    """Tells kinds of problems apart. Its page says what to do."""
    title: str
    """The kind of problem, in a few words."""
    status: int
    detail: str
    """What is wrong this time, and what to do."""
    errors: Sequence[FieldProblem] = ()
    """The fields at fault."""
    campaign: str | None = None
    """The campaign that is meant, if another one stands in the way."""


class ProblemAnswer(Exception):
    """An answer that tells a problem."""

    def __init__(
        self,
        kind: ProblemKind,
        detail: str,
        *,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] = MappingProxyType({}),
        campaign: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.headers = headers
        self.document = ProblemDocument(
            type=kind.type, title=kind.title, status=kind.status, detail=detail, errors=list(errors), campaign=campaign
        )

    @property
    def body(self) -> bytes:
        """For a program: it is told of operations where people are told of commands."""
        told = self.document
        errors = [msgspec.structs.replace(each, detail=for_programs(each.detail)) for each in told.errors]
        return msgspec.json.encode(msgspec.structs.replace(told, detail=for_programs(told.detail), errors=errors))


def _kind(slug: str, status: int, title: str, remedy: str) -> ProblemKind:
    return ProblemKind(slug=slug, status=status, title=title, remedy=remedy)


BAD_BODY = _kind(
    "bad-body", 400, "The body cannot be read", "Send JSON in UTF-8, as the document of the API describes it."
)
INVALID_INPUT = _kind(
    "invalid-input",
    422,
    "A value cannot be used",
    "`errors` names the field or the parameter, and what is wrong with it. Nothing was changed.",
)
INVALID_MESSAGE = _kind(
    "invalid-message",
    422,
    "The message cannot be sent as it is",
    "`errors` names the field of the message. Change it, and ask again. Nothing was sent.",
)
INVALID_CURSOR = _kind(
    "invalid-cursor",
    400,
    "The cursor doesn't belong to this question",
    "A cursor goes on with the same question: keep all filters as they were, or begin without a cursor.",
)
UNAUTHENTICATED = _kind(
    "unauthenticated",
    401,
    "You have to say who you are",
    "Send the header `Authorization: Bearer stentor_live_…` with a valid API key. `stentor key create` makes one.",
)
FORBIDDEN = _kind(
    "forbidden", 403, "You may not do this", "Use a key with the scope that `detail` names, or ask an admin to do it."
)
NOT_FOUND = _kind("not-found", 404, "There is nothing here", "Look at the path and at the id in it.")
METHOD_NOT_ALLOWED = _kind(
    "method-not-allowed", 405, "This cannot be done here", "The header `Allow` names what can be done."
)
WRONG_STATE = _kind(
    "wrong-state",
    409,
    "The state doesn't allow this",
    "`detail` says what stands in the way, and what to do first. Nothing was changed.",
)
ALREADY_SENT = _kind(
    "already-sent", 409, "This was sent already", "`campaign` is the one that was sent. There is nothing to do."
)
UNCONFIRMED = _kind(
    "unconfirmed",
    409,
    "This is not what was confirmed",
    "The message, the audience or the count differ from what was previewed. Preview it again, and start that.",
)
IN_PROGRESS = _kind(
    "in-progress",
    409,
    "The same request is still being worked on",
    "Wait for `Retry-After` seconds, and send the same request with the same `Idempotency-Key` again.",
)
PRECONDITION_FAILED = _kind(
    "precondition-failed",
    412,
    "It was changed meanwhile",
    "Get it again, and send your change with the new `ETag`.",
)
TOO_SLOW = _kind(
    "too-slow",
    408,
    "The body took too long",
    "Send the same request again, in smaller parts if need be.",
)
TOO_LARGE = _kind(
    "too-large", 413, "The body is too large", "`detail` says how large it may be. Send less, or in several parts."
)
UNSUPPORTED_MEDIA_TYPE = _kind(
    "unsupported-media-type", 415, "A body of this kind is not read here", "Send the content type that `detail` names."
)
OTHER_BODY = _kind(
    "key-used-with-other-body",
    422,
    "The idempotency key was used for something else",
    "Use a new `Idempotency-Key` for each new request, and the old one only to repeat the very same request.",
)
TOO_MANY = _kind("too-many-requests", 429, "Too many requests", "Wait for `Retry-After` seconds.")
AUDIENCE_UNUSABLE = _kind(
    "audience-unusable",
    422,
    "The audience cannot be used",
    "`detail` says what is wrong with it. The settings of audiences are in stentor.toml.",
)
CREDENTIALS_UNUSABLE = _kind(
    "credentials-unusable",
    409,
    "The credentials of an app cannot be used",
    "`detail` names the app. Its settings are in stentor.toml. `stentor doctor` says what to fix.",
)
MISCONFIGURED = _kind(
    "misconfigured",
    409,
    "The settings don't allow this",
    "`detail` names the setting. Change it in stentor.toml.",
)
UNAVAILABLE = _kind(
    "unavailable",
    503,
    "Something that is needed cannot be reached just now",
    "Nothing is lost. Send the same request again after `Retry-After` seconds, with the same `Idempotency-Key`.",
)
INTERNAL = _kind(
    "internal-error",
    500,
    "Stentor made a mistake",
    "The log says more. Send the same request again with the same `Idempotency-Key`; nothing is done twice.",
)

KINDS = tuple(each for each in globals().values() if isinstance(each, ProblemKind))
"""All there are, in the order of this page."""

_BY_ERROR: tuple[tuple[type[StentorError], ProblemKind], ...] = (  # the first that fits counts
    (errors.InvalidMessage, INVALID_MESSAGE),
    (errors.InvalidInput, INVALID_INPUT),
    (errors.Forbidden, FORBIDDEN),
    (errors.UnknownCampaign, NOT_FOUND),
    (errors.UnknownInstallation, NOT_FOUND),
    (errors.UnknownKey, NOT_FOUND),
    (errors.UnknownReport, NOT_FOUND),
    (errors.UnknownSegment, NOT_FOUND),
    (errors.UnknownSeries, NOT_FOUND),
    (errors.UnknownExclusionList, NOT_FOUND),
    (errors.UnknownTemplate, NOT_FOUND),
    (errors.UnknownUser, NOT_FOUND),
    (errors.AlreadySent, ALREADY_SENT),
    (errors.Unconfirmed, UNCONFIRMED),
    (errors.TooManyAttempts, TOO_MANY),
    (errors.ChangedMeanwhile, PRECONDITION_FAILED),
    (errors.InvalidState, WRONG_STATE),
    (errors.InvalidAudience, AUDIENCE_UNUSABLE),
    (errors.CredentialError, CREDENTIALS_UNUSABLE),
    (errors.InvalidConfiguration, MISCONFIGURED),
    (errors.StoreRefused, INVALID_INPUT),
    (errors.CredentialUnavailable, UNAVAILABLE),
    (errors.StoreUnavailable, UNAVAILABLE),
    (errors.StoreOutdated, UNAVAILABLE),
    (errors.AudienceUnavailable, UNAVAILABLE),
)
RETRY_AFTER = 5
"""Seconds after which a program may ask again, where something is away."""


def kind_of(error: type[StentorError]) -> ProblemKind:
    """The kind of problem that an error is told as."""
    return next((kind for known, kind in _BY_ERROR if issubclass(error, known)), INTERNAL)


def problem_of(error: StentorError) -> ProblemAnswer:
    """An error as an answer."""
    kind = kind_of(type(error))
    if isinstance(error, InvalidMessage):
        told = FieldProblem(pointer=message_pointer(error.field), detail=str(error))
        return ProblemAnswer(kind, str(error), errors=[told])
    if isinstance(error, InvalidInput):
        return ProblemAnswer(kind, str(error), errors=[FieldProblem(pointer=pointer(error.field), detail=str(error))])
    if isinstance(error, errors.AlreadySent):
        return ProblemAnswer(kind, str(error), campaign=error.campaign_id)
    if isinstance(error, errors.TooManyAttempts):
        return ProblemAnswer(kind, str(error), headers={"Retry-After": str(math.ceil(error.retry_after))})
    headers = {"Retry-After": str(RETRY_AFTER)} if kind is UNAVAILABLE else {}
    return ProblemAnswer(kind, str(error), headers=headers)


def pointer(path: str) -> str:
    """A dotted path with indices (`a.b[2].c`) as a JSON pointer."""
    parts = _INDEX.sub(r".\1", path).split(".") if path else []
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts if part)


def message_pointer(field: str) -> str:
    """Where the field of a message is in a body: values stand beside the message."""
    inside = "" if field == "values" or field.startswith("values.") else "message."
    return pointer(field if field == "message" else inside + field)
