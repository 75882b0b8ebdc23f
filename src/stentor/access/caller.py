"""Who asks for something: an API key, a user, or somebody at the command line."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass
from typing import Literal

from stentor.access.scopes import Scope
from stentor.errors import Forbidden

Kind = Literal["key", "user", "local"]


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller that has proved who it is."""

    id: str
    name: str
    kind: Kind
    scope: Scope

    def require(self, scope: Scope) -> None:
        """Raises: Forbidden: this caller's scope doesn't cover `scope`."""
        if not self.scope.covers(scope):
            raise Forbidden(f"this needs the scope {scope}, and {self.name!r} has {self.scope}")


def local_caller() -> Caller:
    """Somebody at the command line. People who can read the settings may do everything."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in many containers
        name = f"uid {os.getuid()}"
    return Caller(id="local", name=name, kind="local", scope=Scope.ADMIN)
