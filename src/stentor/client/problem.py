"""What the client raises: `ApiProblem`, whatever the API refused and wherever it could not be reached."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stentor.errors import StentorError

CONTENT_TYPE = "application/problem+json"
NO_ANSWER = "no-answer"
UNREADABLE = "unreadable-answer"
"""Slugs of what the API itself never answers."""


class FieldFault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one field of a request."""

    detail: str
    pointer: str | None = None
    """Where it is in the body, as a JSON pointer (RFC 6901)."""
    parameter: str | None = None
    """Or the name of the parameter in the query or the path."""


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    detail: str
    errors: Sequence[FieldFault] = ()
    campaign: str | None = None


class ApiProblem(StentorError):
    """The API refused a request, or could not be reached."""

    def __init__(
        self,
        status: int,
        type_: str,
        title: str,
        detail: str,
        *,
        errors: Sequence[FieldFault] = (),
        campaign: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.status = status
        """The HTTP status. 0: no answer came."""
        self.type = type_
        """Tells kinds of problems apart, e.g. `/v1/problems/not-found`."""
        self.title = title
        """The kind of problem, in a few words."""
        self.detail = detail
        """What is wrong this time, and what to do. For people."""
        self.errors = tuple(errors)
        """The fields at fault."""
        self.campaign = campaign
        """The campaign that is meant, if another one stands in the way."""
        self.request_id = request_id
        """What the service's log calls the request."""
        self.retry_after = retry_after
        """Seconds after which it may be tried again. None: the API named none."""
        super().__init__(detail)
        self.args = (status, type_, title, detail)  # by these it is made again where it was pickled to

    def __str__(self) -> str:
        said = f"{self.status} {self.slug}: {self.detail}" if self.status else f"{self.slug}: {self.detail}"
        return f"{said} (request {self.request_id})" if self.request_id else said

    @property
    def slug(self) -> str:
        """The last part of `type`, e.g. `not-found`: what programs compare. docs/errors.md lists them."""
        return self.type.rpartition("/")[2]


def no_answer(detail: str) -> ApiProblem:
    """Nothing came back, or not all of it."""
    return ApiProblem(0, NO_ANSWER, "The API could not be reached", detail)


def of_answer(
    status: int, content_type: str, body: bytes, *, request_id: str | None, retry_after: float | None
) -> ApiProblem:
    """An answer that isn't good, as a problem."""
    if content_type == CONTENT_TYPE:
        try:
            told = msgspec.json.decode(body, type=_Told)
        except msgspec.DecodeError:
            pass
        else:
            return ApiProblem(
                status,
                told.type,
                told.title,
                told.detail,
                errors=told.errors,
                campaign=told.campaign,
                request_id=request_id,
                retry_after=retry_after,
            )
    detail = "This is not an answer of the API. Check that `base_url` leads to it, and what proxies do on the way."
    return ApiProblem(
        status, UNREADABLE, "Something else answered", detail, request_id=request_id, retry_after=retry_after
    )
