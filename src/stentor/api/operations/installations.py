"""Installations of the registry: one by one, as a stream of any size, and a person erased."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from typing import IO, Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import ClientDisconnect

from stentor.access.log import WITH_ADDRESSES
from stentor.access.scopes import Scope
from stentor.api.bodies import JSON
from stentor.api.installations import ERASED_WITHIN, InstallationFilters, installations_page, seen
from stentor.api.operation import Call, Fields, Made, Operations, Streamed
from stentor.api.problems import BAD_BODY, ProblemAnswer
from stentor.errors import InvalidConfiguration, InvalidInput, QueueUnavailable, UnknownInstallation
from stentor.recording.shapes import Shape
from stentor.runtime.erasing import Erased
from stentor.runtime.installations import Installation, InstallationPage, Put, Rejected, Upserted

operations = Operations("Installations")
JSON_LINES = "application/jsonl, application/x-ndjson"
MOST, USUAL = 1000, 100
"""Installations of a page."""
IN_MEMORY = 2**20
"""Bytes of rejected lines that are kept in memory; more are in a temporary file until they are sent."""
PIECE = 2**16


class InstallationQuery(Fields, frozen=True, kw_only=True):
    address: bool = False
    """With its address whole. Needs the scope `write`."""


class InstallationsQuery(InstallationFilters, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=MOST)] = USUAL
    """How many."""
    cursor: str | None = None
    """`next` of the page before."""


class SaidInstallationFields(Fields, frozen=True, kw_only=True):
    """What is said of an installation. Whatever is left out stays as it is."""

    address: str | None = None
    """The device token, subscription or chat. It may be left out if the installation is there already."""
    channel: str | None = None
    """It may be left out if the installation is there already."""
    app: str | None = None
    language: str | None = None
    """E.g. `de` or `pt-BR`."""
    time_zone: str | None = None
    """E.g. `Europe/Berlin`."""
    registered_at: float | None = None
    """When the address was last registered, in epoch seconds."""
    attributes: dict[str, Any] | None = None
    """For templates and filters. They replace all that there were."""


class StreamQuery(Fields, frozen=True, kw_only=True):
    channel: str | None = None
    """Of the lines that name none."""
    app: str | None = None
    """Of the lines that name none."""


class StreamResultShape(Shape, frozen=True, kw_only=True):
    """What became of a stream."""

    counts: Upserted
    rejected: list[Rejected]
    """Every line that was left out, was overruled by a later one, or lacks a value."""


@operations.get("/installations", Scope.VIEW)
async def list_installations(call: Call, query: InstallationsQuery) -> InstallationPage:
    """Installations of the registry."""
    return await installations_page(call.stentor, call.caller, query, query.limit, query.cursor, call.now)


@operations.put(
    "/installations", Scope.WRITE, takes=JSON_LINES, streams=JSON, action="installation.stream", shape=StreamResultShape
)
async def put_installations(call: Call, query: StreamQuery) -> Streamed:
    """Add or change installations, as many as there are: JSON Lines, an object a line.

    Each line has an `id`, an `address` (or `token`) and a `channel`; all other names are attributes. A thousand lines
    at a time are committed. Sending the same stream again changes nothing, so a broken one is simply repeated.
    """
    rejects: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - it is closed with the answer

    async def keep(some: Sequence[Rejected]) -> None:
        for each in some:
            rejects.write((b"," if rejects.tell() else b"") + msgspec.json.encode(each))

    try:
        counts = await call.stentor.installations.upsert_many(
            call.request.stream(), channel=query.channel, app=query.app, on_rejected=keep
        )
    except ClientDisconnect:
        rejects.close()
        raise ProblemAnswer(BAD_BODY, "The stream ended before it was complete; what came before is kept.") from None
    except InvalidConfiguration as error:
        rejects.close()
        raise InvalidInput("channel", str(error)) from None
    except BaseException:
        rejects.close()
        raise
    return Streamed(content_type=JSON, pieces=_told(counts, rejects))


@operations.get("/installations/{installation}", Scope.VIEW, raises=(UnknownInstallation,))
async def get_installation(call: Call, installation: str, query: InstallationQuery) -> Installation:
    """An installation. Of its address only the beginning is shown, unless it is asked for.

    Attributes are shown to keys with the scope `write`.
    """
    if query.address:
        call.caller.require(Scope.WRITE)
    found = await call.stentor.installations.get(installation, address=query.address)
    if query.address:
        await call.stentor.access.log.record(call.caller, "installation.read", installation, detail=WITH_ADDRESSES)
    return seen(call.caller, found)


@operations.put("/installations/{installation}", Scope.WRITE, action="installation.put")
async def put_installation(call: Call, installation: str, body: SaidInstallationFields) -> Put:
    """Add an installation, or change what is said of it."""
    said = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not None}
    return await call.stentor.installations.put({**said, "id": installation})


@operations.delete(
    "/installations/{installation}", Scope.WRITE, raises=(UnknownInstallation,), action="installation.delete"
)
async def delete_installation(call: Call, installation: str) -> None:
    """Take an installation out of the registry. What campaigns know of it stays; see erasing."""
    if not await call.stentor.installations.delete(installation):
        raise UnknownInstallation(f"there is no installation {installation!r} in the registry")


@operations.post(
    "/installations/{installation}/erase",
    Scope.ADMIN,
    raises=(QueueUnavailable,),
    action="installation.erase",
    shape=Erased,
)
async def erase_installation(call: Call, installation: str) -> Made:
    """Remove a person: everything that holds this id or its address, in campaigns too.

    What could not be removed yet is in `left`; ask again later, until that is empty.
    """
    told = await call.stentor.installations.erase(installation, patience=ERASED_WITHIN)
    return Made(shape=told, status=200, about="" if not told.left else None)


async def _told(counts: Upserted, rejects: IO[bytes]) -> AsyncIterator[bytes]:
    """The answer to a stream, with its rejected lines from a file."""
    with rejects:
        yield b'{"counts":' + msgspec.json.encode(counts) + b',"rejected":['
        rejects.seek(0)
        while piece := rejects.read(PIECE):
            yield piece
        yield b"]}"
