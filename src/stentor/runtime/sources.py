"""Audiences by name: the configured ones and the registry, with the databases they are in.

Rules: one `Database` for each URL, however many audiences are in it; one of its own where an audience is in the
store, too: a question to an audience may take as long as it takes, one to the store may not.
"""

from __future__ import annotations

from collections import defaultdict
from difflib import get_close_matches

from stentor.audience.checks import UniqueColumns
from stentor.audience.contract import Audience, Routes, Selection
from stentor.audience.failed import FailedAudience
from stentor.audience.listed import ListedAudience
from stentor.audience.reached import ReachedAudience
from stentor.audience.registry import RegistryAudience
from stentor.audience.sql import SqlAudience
from stentor.channels import find
from stentor.config import REGISTRY, Config, default_app, lane_of, lanes
from stentor.errors import InvalidAudience
from stentor.store.database import Database

CONNECTIONS = 2
"""To the registry at most."""
PATIENCE = 5.0
"""Seconds for which a page is tried again in place; after that the plan step goes back to the queue for a while."""


def routes(config: Config) -> Routes:
    """Which lane serves which channel and app."""
    found: dict[tuple[str, str | None], str] = {}
    for name, app in config.apps.items():
        found[app.channel, name] = lane_of(name, app)
        if default_app(config, app.channel) == name:
            found[app.channel, None] = lane_of(name, app)
    return Routes(lanes=found)


class ConfiguredSources:
    """Opens audiences, and closes what they needed."""

    def __init__(self, config: Config, store: Database) -> None:
        self._config = config
        self._store = store
        self._routes = routes(config)
        self._databases: dict[str, Database] = {}
        self._unique: dict[str, UniqueColumns] = defaultdict(UniqueColumns)

    def open(self, selection: Selection) -> Audience:
        """The audience that a selection means. Nothing is read yet.

        Raises:
            InvalidAudience: no audience has this name.
        """
        if selection.failed_of is not None:
            of = self._source(selection) if selection.within is None else self.open(selection.within)
            return FailedAudience(self._store, of, selection)
        audience = self._source(selection)
        if selection.reached_by is not None:
            channels = {name: find(app.channel) for name, app in lanes(self._config).items()}
            by_receipt = [name for name, channel in channels.items() if channel.by_receipt]
            beside = [name for name, channel in channels.items() if channel.receipt_beside]
            return ReachedAudience(self._store, audience, selection, channels, by_receipt, beside)
        return audience

    def _source(self, selection: Selection) -> Audience:
        if selection.addresses_of is not None:
            return ListedAudience(self._store, selection.addresses_of, lanes(self._config))
        if selection.source == REGISTRY:
            url = self._config.store.url
            return RegistryAudience(self._database(url), selection, self._routes, self._unique[url])
        settings = self._config.audiences.get(selection.source)
        if settings is None:
            known = [*self._config.audiences, REGISTRY]
            near = get_close_matches(selection.source, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(known)}"
            raise InvalidAudience(f"there is no audience {selection.source!r} in stentor.toml; {hint}")
        url = settings.url or self._config.store.url
        database = self._database(url, settings.connections)
        return SqlAudience(database, settings, selection, self._routes, unique=self._unique[url])

    def _database(self, url: str, connections: int = CONNECTIONS) -> Database:
        if url not in self._databases:
            self._databases[url] = Database.open(url, connections=connections, patience=PATIENCE, foreign=True)
        return self._databases[url]

    async def aclose(self) -> None:
        """Close the databases that were opened here."""
        for database in self._databases.values():
            await database.aclose()
