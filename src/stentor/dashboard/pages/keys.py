"""API keys: which programs may do what."""

from __future__ import annotations

from starlette.responses import Response

from stentor.access.keys import ApiKey, IssuedKey
from stentor.access.scopes import Scope, read_scope
from stentor.access.wording import ROLES, is_over
from stentor.dashboard.page import Pages
from stentor.dashboard.visit import Visit
from stentor.errors import InvalidInput, InvalidState

pages = Pages()
SHOWN = 100
"""Keys of a page."""
DAY = 86_400.0
LIVES = {"30": "30 days", "90": "90 days", "365": "a year", "": "never"}
"""After how many days a key ends, as a form offers it."""
OVERLAPS = {"86400": "one more day", "604800": "7 more days", "2592000": "30 more days", "0": "no longer: it ends now"}
"""For how many seconds the old text of a rolled key is valid."""


@pages.get("/keys", Scope.ADMIN)
async def list_keys(visit: Visit) -> Response:
    return await _list(visit)


@pages.post("/keys", Scope.ADMIN)
async def create_key(visit: Visit) -> Response:
    form, keys = visit.form, visit.stentor.access.keys
    try:
        scope = read_scope("scope", form.get("scope"))
        days = _chosen("expires", form.get("expires"), LIVES)
        ends = visit.now + float(days) * DAY if days else None
        name = form.get("name")
        made = await visit.once(lambda along: keys.create(visit.caller, name, scope, expires_at=ends, along=along))
    except InvalidInput as error:
        return await _list(visit, {error.field: error.problem}, status=422)
    return visit.go("/keys", "key-made-already") if made is None else await _show_text(visit, made)


@pages.get("/keys/{key}", Scope.ADMIN)
async def show_key(visit: Visit, key: str) -> Response:
    return await _show(visit, await visit.stentor.access.keys.find(visit.caller, key))


@pages.post("/keys/{key}/roll", Scope.ADMIN)
async def roll(visit: Visit, key: str) -> Response:
    keys = visit.stentor.access.keys
    found = await keys.find(visit.caller, key)
    try:
        overlap = float(_chosen("overlap", visit.form.get("overlap"), OVERLAPS))
        made = await visit.once(lambda along: keys.roll(visit.caller, found.id, overlap=overlap, along=along))
    except (InvalidInput, InvalidState) as error:
        return await _show(visit, found, str(error), status=409)
    return visit.go(f"/keys/{found.id}", "key-rolled-already") if made is None else await _show_text(visit, made)


@pages.get("/keys/{key}/revoke", Scope.ADMIN)
async def confirm_revoking(visit: Visit, key: str) -> Response:
    return await visit.render("key_revoke.html", key=await visit.stentor.access.keys.find(visit.caller, key))


@pages.post("/keys/{key}/revoke", Scope.ADMIN)
async def revoke(visit: Visit, key: str) -> Response:
    found = await visit.stentor.access.keys.find(visit.caller, key)
    await visit.stentor.access.keys.revoke(visit.caller, found.id)
    return visit.go(f"/keys/{found.id}", "key-revoked")


async def _list(visit: Visit, errors: dict[str, str] | None = None, *, status: int = 200) -> Response:
    """A page of keys, those that can be used first, and a form for one more."""
    after = visit.query("after") or None
    found = await visit.stentor.access.keys.page(visit.caller, after=after, limit=SHOWN + 1)
    page = found[:SHOWN]
    return await visit.render(
        "keys.html",
        status,
        keys=sorted(page, key=lambda each: (is_over(each, visit.now), each.name.casefold(), each.created_at)),
        following=page[-1].id if len(found) > SHOWN else None,
        after=after,
        scopes=ROLES,
        lives=LIVES,
        errors=errors or {},
    )


async def _show(visit: Visit, key: ApiKey, error: str = "", *, status: int = 200) -> Response:
    over = is_over(key, visit.now)
    return await visit.render(
        "key.html", status, key=key, over=over, allows=ROLES[key.scope], overlaps=OVERLAPS, error=error
    )


async def _show_text(visit: Visit, made: IssuedKey) -> Response:
    """Show a key's text, once."""
    return await visit.render("key_text.html", key=made.key, text=made.text)


def _chosen(field: str, text: str, offered: dict[str, str]) -> str:
    """Raises: InvalidInput: the form doesn't offer this."""
    if text not in offered:
        raise InvalidInput(field, "choose one of those that are offered")
    return text
