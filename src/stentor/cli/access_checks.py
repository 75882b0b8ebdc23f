"""What `stentor doctor` finds about the dashboard: where it opens, who may use it, signing in at an OpenID provider."""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa

from stentor.access.oidc import open_provider
from stentor.cli.findings import PATIENCE, is_missing
from stentor.config import AccessConfig, Config
from stentor.errors import StentorError
from stentor.findings import Finding, problem, warning
from stentor.store import tables
from stentor.store.database import Database

CHECK = "access.oidc"
DASHBOARD = "api"
_USERS = sa.select(tables.users.c.id).where(tables.users.c.disabled_at.is_(None)).limit(1)


async def check_dashboard(config: Config) -> list[Finding]:
    """Where the API and the dashboard open, and whether anybody can sign in to it. Nothing is opened."""
    if not config.api.enabled:
        return [Finding(check=DASHBOARD, detail="off (`api.enabled`): no API and no dashboard is opened")]
    where = config.api.address or config.api.listen
    detail = f"the API and the dashboard are at {where} while `stentor serve` runs"
    if is_missing(config.store.url):
        return [Finding(check=DASHBOARD, detail=detail)]
    database = Database.open(config.store.url, patience=PATIENCE)
    try:
        has_user = bool(await database.rows(_USERS))
    except StentorError:  # which is told of the store
        return [Finding(check=DASHBOARD, detail=detail)]
    finally:
        await database.aclose()
    if not has_user:
        detail += "; the dashboard has no user yet: `stentor user link` makes the first admin"
    return [Finding(check=DASHBOARD, detail=detail)]


async def check_access(
    settings: AccessConfig, public_url: str | None, *, offline: bool, clock: Callable[[], float] = time.time
) -> list[Finding]:
    """Whether the provider can be used; nothing if there is none. Nobody is signed in."""
    if settings.oidc.issuer is None:
        return []
    found, secret = [], settings.oidc.client_secret_file
    if secret is not None and secret.exists() and secret.stat().st_mode & 0o004:
        told = f"everybody on this machine can read {secret}"
        found.append(warning(f"{CHECK}: {secret.name}", told, f"Run `chmod 600 {secret}`."))
    try:
        provider = open_provider(settings, public_url, clock)
        if offline:
            return [*found, Finding(check=CHECK, detail=f"{provider.issuer}, not contacted")]
        keys = await provider.check()
    except StentorError as error:
        return [*found, problem(CHECK, str(error), "Fix that: until then people can sign in only with a password.")]
    return [*found, Finding(check=CHECK, detail=f"{provider.issuer} answers, and shows {keys} keys")]
