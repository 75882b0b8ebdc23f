"""The FCM simulator, strict: `async with FcmSimulator() as fcm:` gives its url, CA file, service account and ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stentor.simulators.fcm.oauth import ServiceAccount, TokenEndpoint, known_account, mint_account
from stentor.simulators.fcm.provider import TOKEN_PATH, FcmProvider, FcmSetup
from stentor.simulators.http1 import Http1Door
from stentor.simulators.peer import Http1Factory
from stentor.simulators.simulator import Simulator
from stentor.simulators.tls import ServerTls, make_server_tls

__all__ = ["FcmProvider", "FcmSetup", "FcmSimulator", "ServiceAccount", "TokenEndpoint"]


class FcmSimulator(Simulator):
    """`options` says how it is set up; the keyword arguments of `Simulator` say where it runs and what goes wrong.

    The service-account file names this simulator's own token endpoint, on the same port.
    """

    def __init__(self, options: FcmSetup | None = None, *, account_file: Path | None = None, **where: Any) -> None:
        self.options = options or FcmSetup()
        self._given_account = account_file
        self._door: Http1Door | None = None
        super().__init__(**where)

    def _make_tls(self) -> ServerTls:
        return make_server_tls(self.directory, provider="fcm", alpn=("h2", "http/1.1"))

    def _make_provider(self) -> FcmProvider:
        if self._given_account is not None:
            account = known_account(self._given_account)
        else:
            account = mint_account(self._account_path, project=self.options.project)
        self.fcm = FcmProvider(self.world, self.options, account)
        return self.fcm

    @property
    def _account_path(self) -> Path:
        return self.directory / "service-account.json"

    def _http1(self) -> Http1Factory:
        self._door = Http1Door(self.world, self.provider, spared=(TOKEN_PATH,))
        return self._door.protocol

    def _on_started(self) -> None:
        """The file can name the token endpoint only once the port is known."""
        self.fcm.tokens.audiences.add(self.token_url)
        if self._given_account is None:
            self.fcm.account.write_token_uri(self.token_url)

    async def stop(self) -> None:
        if self._door is not None:
            await self._door.close()
        await super().stop()

    @property
    def token_url(self) -> str:
        return f"{self.url}{TOKEN_PATH}"

    @property
    def project(self) -> str:
        return self.fcm.account.project

    @property
    def service_account_file(self) -> Path:
        return self.fcm.account.path

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), "token_url": self.token_url}
