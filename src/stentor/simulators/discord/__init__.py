"""The Discord simulator, strict: `async with DiscordSimulator() as discord:` gives url, CA file, token and ledger."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from stentor.errors import InvalidConfiguration
from stentor.simulators.discord.provider import DiscordProvider, DiscordSetup
from stentor.simulators.plain import PlainSimulator
from stentor.simulators.tls import write_private

__all__ = ["DiscordProvider", "DiscordSetup", "DiscordSimulator"]


class DiscordSimulator(PlainSimulator):
    """`options` says how it is set up; the keyword arguments of `Simulator` say where it runs and what goes wrong."""

    name = "discord"

    def __init__(self, options: DiscordSetup | None = None, *, token_file: Path | None = None, **where: Any) -> None:
        """Args:
        token_file: with the bot's token, instead of one that is made.
        """
        self.options = options or DiscordSetup()
        self._given_token = token_file
        super().__init__(**where)

    def _make_provider(self) -> DiscordProvider:
        if self._given_token is None:
            path = write_private(self.directory / "discord-token.txt", secrets.token_urlsafe(48).encode())
        else:
            path = self._given_token
        try:
            token = path.read_text("utf-8-sig").strip()
        except OSError as error:
            raise InvalidConfiguration(f"{path} cannot be read: {error.strerror}") from None
        self.discord = DiscordProvider(self.world, self.options, token, path)
        return self.discord

    @property
    def token(self) -> str:
        return self.discord.token

    @property
    def token_file(self) -> Path:
        return self.discord.token_file
