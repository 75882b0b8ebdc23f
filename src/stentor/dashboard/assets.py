"""What pages load beside themselves: scripts, styles and a picture, from this package and from nowhere else.

An asset's address has its own hash in it, so a browser keeps it for ever, and has the new one after an update.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PLACE = "/assets/"
TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"


class Assets:
    """The assets of this package, in memory: there are few, and they are small."""

    def __init__(self) -> None:
        self._by_name: dict[str, str] = {}
        self._found: dict[str, tuple[str, bytes]] = {}
        for file in (files(__package__) / "static").iterdir():
            stem, _, kind = file.name.rpartition(".")
            if kind not in TYPES:
                continue
            data = file.read_bytes()
            address = f"{stem}.{hashlib.sha256(data).hexdigest()[:12]}.{kind}"
            self._by_name[file.name] = PLACE + address
            self._found[address] = TYPES[kind], data

    def address(self, name: str) -> str:
        """Where a page finds an asset. Raises: KeyError: there is none of this name."""
        return self._by_name[name]

    def route(self) -> Route:
        async def asset(request: Request) -> Response:
            found = self._found.get(request.path_params["name"])
            if found is None:
                return Response("There is no such file.\n", 404, media_type="text/plain")
            content_type, data = found
            return Response(data, headers={"Cache-Control": FOR_EVER}, media_type=content_type)

        return Route(f"{PLACE}{{name}}", asset)
