"""What `stentor doctor` finds about an app: its credentials, and what the provider says to them.

Every channel is looked at alike: its lane reads the files, says what they are (`lane.Describes`), and asks the provider
whether it takes us (`lane.Introduces`). Nobody is sent anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from stentor.errors import CredentialError, CredentialUnavailable, InvalidConfiguration
from stentor.findings import Finding, problem, warning
from stentor.providers.channels import open_lane
from stentor.providers.lane import Describes, Introduces, Lane
from stentor.settings import App


async def check_app(name: str, app: App, *, offline: bool, clock: Callable[[], float] = time.time) -> list[Finding]:
    """The findings about one app. `clock` gives epoch seconds."""
    where = f"apps.{name}"
    try:
        lane = open_lane(name, app, clock)
        try:
            found = await _check_lane(lane, offline)
        finally:
            await lane.aclose(0.0)
    except (CredentialError, InvalidConfiguration) as error:
        found = [problem("credentials", str(error), f"Fix the files, or the settings in [{where}] that name them.")]
    return [
        *(
            replace(each, check=f"{where}: {each.check}", detail=each.detail.removeprefix(f"{where}: "))
            for each in found
        ),
        *_check_secrecy(name, app),
    ]


async def _check_lane(lane: Lane, offline: bool) -> Collection[Finding]:
    """One finding a check: of two, the one that was made later. Raises: CredentialError, InvalidConfiguration."""
    told: list[Finding] = []
    await lane.check()
    if isinstance(lane, Introduces) and not offline:
        try:
            said = await lane.introduce()
        except CredentialUnavailable as error:
            said = [problem("provider", str(error), "Check that this machine can reach it, or try again later.")]
        told = [Finding(check="provider", detail=said)] if isinstance(said, str) else [*said]
    # Only now: some credentials know their project when the provider was asked.
    known = lane.describe() if isinstance(lane, Describes) else Finding(check="credentials", detail="complete")
    return {each.check: each for each in (known, *told)}.values()


def _check_secrecy(name: str, app: App) -> list[Finding]:
    """Secrets that every user of this machine can read."""
    files: list[Path | None] = [getattr(app, setting) for setting in app.secrets]
    return [
        warning(f"apps.{name}: {file.name}", f"everybody on this machine can read {file}", f"Run `chmod 600 {file}`.")
        for file in files
        if file is not None and file.exists() and file.stat().st_mode & 0o004
    ]
