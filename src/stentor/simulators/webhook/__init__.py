"""A gateway for signed webhooks, strict: `async with WebhookSimulator() as gateway:` gives its target and secret."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from secrets import token_bytes
from typing import Any

from stentor.simulators.plain import PlainSimulator
from stentor.simulators.tls import write_private
from stentor.simulators.webhook.provider import WebhookProvider, WebhookSetup

__all__ = ["WebhookProvider", "WebhookSetup", "WebhookSimulator"]


class WebhookSimulator(PlainSimulator):
    """`options` says how it is set up; the keyword arguments of `Simulator` say where it runs and what goes wrong."""

    name = "webhook"

    def __init__(self, options: WebhookSetup | None = None, *, secret_file: Path | None = None, **where: Any) -> None:
        """Args: secret_file: the secrets to know, one a line, instead of making one."""
        self.options = options or WebhookSetup()
        self._given_secrets = secret_file
        super().__init__(**where)

    def _make_provider(self) -> WebhookProvider:
        if self._given_secrets is None:
            secret = b"whsec_" + b64encode(token_bytes(32)) + b"\n"
            write_private(self.directory / "webhook-secret.txt", secret)
        secrets = self.secret_file.read_text("utf-8-sig").split()
        self.gateway = WebhookProvider(self.world, self.options, secrets)
        return self.gateway

    @property
    def secret_file(self) -> Path:
        return self._given_secrets or self.directory / "webhook-secret.txt"

    @property
    def target(self) -> str:
        return self.url + self.options.path

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), "target": self.target, "secret_file": str(self.secret_file)}
