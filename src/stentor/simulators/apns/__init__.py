"""The APNs simulator, strict: `async with ApnsSimulator() as apns:` gives its url, CA file, key and ledger."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stentor.simulators.apns.credentials import AuthKey, KeyFile, mint_key
from stentor.simulators.apns.provider import ApnsProvider, ApnsSetup
from stentor.simulators.simulator import Simulator
from stentor.simulators.tls import ServerTls, make_server_tls

__all__ = ["ApnsProvider", "ApnsSetup", "ApnsSimulator", "AuthKey", "KeyFile"]


class ApnsSimulator(Simulator):
    """`options` says how it is set up; the keyword arguments of `Simulator` say where it runs and what goes wrong."""

    def __init__(self, options: ApnsSetup | None = None, *, key: KeyFile | None = None, **where: Any) -> None:
        self.options = options or ApnsSetup()
        self._given_key = key
        super().__init__(**where)

    def _make_tls(self) -> ServerTls:
        return make_server_tls(self.directory, provider="apns", client_certificates=True)

    def _make_provider(self) -> ApnsProvider:
        self.key = self._given_key or mint_key(self.directory)
        keys = {self.key.key_id: self.key.known()}
        facts = {"key_file": str(self.key.path), "key_id": self.key.key_id, "team_id": self.key.team_id}
        self.apns = ApnsProvider(self.world, self.options, keys, facts)
        return self.apns

    @property
    def key_file(self) -> Path:
        return self.key.path

    @property
    def key_id(self) -> str:
        return self.key.key_id

    @property
    def team_id(self) -> str:
        return self.key.team_id

    def add_key(
        self, *, team_id: str | None = None, environment: str = "all", topics: Iterable[str] | None = None
    ) -> KeyFile:
        """Make one more key that this simulator knows."""
        minted = mint_key(self.directory, team_id=team_id or self.team_id)
        scope = None if topics is None else frozenset(topics)
        self.apns.tokens.keys[minted.key_id] = minted.known(environment, scope)
        return minted

    def client_certificate(self, topic: str) -> Path:
        """Make a client certificate for certificate authentication; the file has its key too."""
        return self.tls.client_certificate(topic, self.directory / f"{topic}.pem")
