"""What a program does instead of a command: errors tell of commands, which nobody has who asks over the API.

Rule: a command that has no operation (`stentor init`, `stentor serve`) is for who runs Stentor, and is told as it is.
"""

from __future__ import annotations

import re

_INSTEAD = tuple(
    (re.compile(command), operation)
    for command, operation in (
        (r"`stentor campaign list`", "`GET /v1/campaigns`"),
        (r"`stentor campaign show`", "`GET /v1/campaigns/{campaign}`"),
        (r"`stentor campaign (resume|release|pause|cancel|retry|undo) ([^`]+)`", r"`POST /v1/campaigns/\2/\1`"),
        (r"`stentor drain --end`", "`DELETE /v1/queue/drain`"),
        (r"`stentor import`", "`PUT /v1/installations`"),
        (r"`stentor key list`", "`GET /v1/keys`"),
        (r"`stentor report list`", "`GET /v1/reports`"),
        (r"`stentor series list`", "`GET /v1/series`"),
        (r"`stentor user enable ([^`]+)`", "`POST /v1/users/{user}/enable`"),
        (r"`stentor user list`", "`GET /v1/users`"),
        (r"\bname one with --target\b", "name one as `target`"),
    )
)


def for_programs(text: str) -> str:
    """A sentence with operations of the API in the place of commands."""
    for command, operation in _INSTEAD:
        text = command.sub(operation, text)
    return text
