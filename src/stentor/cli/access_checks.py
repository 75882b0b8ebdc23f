"""What `stentor doctor` finds about signing in at an OpenID provider."""

from __future__ import annotations

import time
from collections.abc import Callable

from stentor.access.oidc import open_provider
from stentor.config import AccessConfig
from stentor.errors import StentorError
from stentor.findings import Finding, problem, warning

CHECK = "access.oidc"


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
