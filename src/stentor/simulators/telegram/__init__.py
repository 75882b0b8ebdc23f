"""The Telegram simulator, strict: `async with TelegramSimulator() as telegram:` gives url, CA file, token, ledger."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from stentor.simulators.plain import PlainSimulator
from stentor.simulators.telegram.provider import TelegramProvider, TelegramSetup
from stentor.simulators.tls import write_private

__all__ = ["TelegramProvider", "TelegramSetup", "TelegramSimulator"]


class TelegramSimulator(PlainSimulator):
    """`options` says how it is set up; the keyword arguments of `Simulator` say where it runs and what goes wrong."""

    name = "telegram"

    def __init__(self, options: TelegramSetup | None = None, **where: Any) -> None:
        self.options = options or TelegramSetup()
        super().__init__(**where)

    def _make_provider(self) -> TelegramProvider:
        token = f"{secrets.randbelow(9_000_000_000) + 1_000_000_000}:AA{secrets.token_hex(17)[:33]}"
        self.token_file = write_private(Path(self.directory) / "telegram-bot.token", token.encode())
        facts = {"token_file": str(self.token_file), "username": self.options.username}
        self.telegram = TelegramProvider(self.world, self.options, token, facts)
        return self.telegram

    @property
    def token(self) -> str:
        return self.telegram.token
