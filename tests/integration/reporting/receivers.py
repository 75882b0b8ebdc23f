"""Chats, a mail server and a program of somebody's, on loopback, for tests of what they get."""

from __future__ import annotations

import email
import json
import socketserver
import ssl
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from typing import Any

from aiohttp import web


@dataclass(slots=True)
class Got:
    """A request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class HttpReceiver:
    """Answers whatever comes as a test wants."""

    port: int = 0
    got: list[Got] = field(default_factory=list)
    status: int = 200
    body: str = "ok"
    headers: dict[str, str] = field(default_factory=dict)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.got.append(Got(request.path, dict(request.headers), await request.read()))
        return web.Response(status=self.status, text=self.body, headers=self.headers)


@asynccontextmanager
async def http_receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpReceiver]:
    receiver = HttpReceiver()
    runner = web.ServerRunner(web.Server(receiver.answer, access_log=None), shutdown_timeout=0.01)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        receiver.port = runner.addresses[0][1]
        yield receiver
    finally:
        await runner.cleanup()


class _Smtp(socketserver.StreamRequestHandler):
    """As much of SMTP as a mail takes."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            command = line[:4].upper()
            if command == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                mail = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.got.append(email.message_from_bytes(mail, policy=policy.default))  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n")
            if command == b"QUIT":
                return


@contextmanager
def mail_server() -> Iterator[tuple[int, list[EmailMessage]]]:
    """Its port, and the mails that it gets."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp) as server:
        got: list[EmailMessage] = []
        server.got = got  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_address[1], got
        finally:
            server.shutdown()
            thread.join()
