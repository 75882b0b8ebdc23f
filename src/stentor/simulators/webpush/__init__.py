"""The Web Push simulator, strict: browsers' push services on this machine, each on a port of its own.

`async with WebPushSimulator() as web:` gives the services' origins, subscriptions, a VAPID key, a CA file and a ledger.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stentor.simulators.http1 import Http1Door
from stentor.simulators.listener import Listener
from stentor.simulators.peer import Http1Factory, Peer
from stentor.simulators.simulator import Simulator
from stentor.simulators.tls import ServerTls, make_server_tls, private_pem, write_private
from stentor.simulators.webpush.decryption import Browser, base64url
from stentor.simulators.webpush.provider import Ailment, UndeliveredMessage, WebPushProvider, WebPushSetup

__all__ = ["Ailment", "Browser", "UndeliveredMessage", "WebPushProvider", "WebPushSetup", "WebPushSimulator"]

SUBJECT = "mailto:rehearsal@example.com"
_HTTPS = 443


def origin_of(host: str, port: int) -> str:
    """As browsers and VAPID tokens write it: without the port that https has anyway."""
    return f"https://{host}" if port == _HTTPS else f"https://{host}:{port}"


class WebPushSimulator(Simulator):
    """`options` says how it is set up; the keyword arguments of `Simulator` say where it runs and what goes wrong.

    The first service is on the given port, the others on free ones. Subscriptions are bound to the key that is made.
    """

    def __init__(self, options: WebPushSetup | None = None, *, subscriptions: int = 0, **where: Any) -> None:
        """Args:
        subscriptions: how many to write into `subscriptions.csv` once the ports are known.
        """
        self.options = options or WebPushSetup()
        self._wanted = subscriptions
        self._doors: list[Http1Door] = []
        self._others: list[Listener] = []
        super().__init__(**where)

    def _make_tls(self) -> ServerTls:
        return make_server_tls(self.directory, provider="webpush", alpn=("h2", "http/1.1"))

    def _make_provider(self) -> WebPushProvider:
        key = ec.generate_private_key(ec.SECP256R1())
        self.private_key_file = write_private(self.directory / "vapid.pem", private_pem(key))
        self.public_key = base64url(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
        self.services = {
            dialect: WebPushProvider(self.world, self.options, dialect, self.public_key)
            for dialect in self.options.dialects
        }
        return next(iter(self.services.values()))

    def _http1(self) -> Http1Factory:
        return self._door(next(iter(self.services.values())))

    def _door(self, service: WebPushProvider) -> Http1Factory:
        door = Http1Door(self.world, service)
        self._doors.append(door)
        return door.protocol

    def _on_started(self) -> None:
        first, *others = self.services.values()
        first.origin = origin_of(self._host, self.port)
        for service in others:
            listener = self._listen(service)
            service.origin = origin_of(self._host, listener.port)
        if self._wanted:
            self._write_subscriptions()

    def _listen(self, service: WebPushProvider) -> Listener:
        delays, http1 = self._delays, self._door(service)
        assert delays is not None  # it is started
        listener = Listener(
            self.world,
            self.tls.context,
            lambda: Peer(self.world, service, delays, self._peers, http1),
            self._peers,
        )
        listener.start(self._host, 0)
        self._others.append(listener)
        return listener

    async def stop(self) -> None:
        for door in self._doors:
            await door.close()
        for listener in self._others:
            await listener.stop()
        await super().stop()

    @property
    def origins(self) -> dict[str, str]:
        """By dialect."""
        return {dialect: service.origin for dialect, service in self.services.items()}

    @property
    def subscriptions_file(self) -> Path:
        return self.directory / "subscriptions.csv"

    def subscriptions(self, count: int, first: int = 0) -> Iterator[str]:
        """So many, the services in turn."""
        services = list(self.services.values())
        return (services[number % len(services)].subscribe(number) for number in range(first, first + count))

    def _write_subscriptions(self) -> None:
        """As `stentor import` reads them."""
        with self.subscriptions_file.open("w", encoding="utf-8") as file:
            file.write("id,channel,address\n")
            for number, each in enumerate(self.subscriptions(self._wanted)):
                quoted = each.replace('"', '""')
                file.write(f'browser-{number},webpush,"{quoted}"\n')

    def facts(self) -> dict[str, Any]:
        return {
            **super().facts(),
            "private_key_file": str(self.private_key_file),
            "public_key": self.public_key,
            "subject": SUBJECT,
            "allow_private_endpoints": True,
            "deletes_at": ["127.0.0.1"],
            "origins": self.origins,
            "subscriptions_file": str(self.subscriptions_file) if self._wanted else None,
        }
