#!/usr/bin/env bash
# pywebpush: `webpush` writes the audience (`aud`) of the first push service into the dictionary of claims that it was
# given. If the same dictionary serves for the next subscription, at another push service, the token is made out to the
# first one. RFC 8292 wants the origin of the push service there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --timeout 60 --retries 1 \
    pywebpush==2.5.0 http-ece==1.2.1 py-vapid==1.9.6 cryptography==50.0.2 cffi==2.1.1 pycparser==3.12 \
    requests==2.34.2 certifi==2026.10.18 charset-normalizer==3.5.2 idna==3.20 urllib3==2.8.0 \
    aiohttp==3.14.5 aiohappyeyeballs==2.7.1 aiosignal==1.4.0 attrs==26.1.0 frozenlist==1.8.0 \
    multidict==7.2.1 propcache==0.5.4 typing-extensions==4.16.0 yarl==1.25.1
"$folder/venv/bin/python" - <<'EOF'
import base64
import json
import os
import platform
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from threading import Thread

import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid
from pywebpush import webpush


class PushService(BaseHTTPRequestHandler):
    """Takes every push, and notes to whom its token was made out."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        token = self.headers["Authorization"].removeprefix("vapid t=").split(",")[0]
        claims = token.split(".")[1]
        self.server.audiences.append(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["aud"])
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def start() -> HTTPServer:
    server = HTTPServer(("127.0.0.1", 0), PushService)
    server.audiences = []
    Thread(target=server.serve_forever, daemon=True).start()
    return server


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def push(server: HTTPServer, claims: dict[str, str | int]) -> str:
    """Returns for whom the token was that the service got."""
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    subscription = {
        "endpoint": f"http://127.0.0.1:{server.server_port}/push/1",
        "keys": {"p256dh": text(point), "auth": text(os.urandom(16))},
    }
    webpush(subscription, "hello", vapid, claims, timeout=10, requests_session=session)
    return server.audiences[-1]


vapid = Vapid()
vapid.generate_keys()
session = requests.Session()
session.trust_env = False  # a proxy has no way to the loopback
first, second = start(), start()
names = {f"http://127.0.0.1:{server.server_port}": name for server, name in ((first, "first"), (second, "second"))}
claims: dict[str, str | int] = {"sub": "mailto:push@example.com"}
same = [names[push(server, claims)] for server in (first, second)]
fresh = [names[push(server, {"sub": "mailto:push@example.com"})] for server in (first, second)]
for server in (first, second):
    server.shutdown()
    server.server_close()
print(f"versions: pywebpush {version('pywebpush')}, py-vapid {version('py-vapid')}, Python {platform.python_version()}")
print("expected: each service gets a token that is made out to itself: ['first', 'second']")
print(f"seen with a dictionary of claims for each push: {fresh}")
print(f"seen with one dictionary for both: {same}; it now has {', '.join(sorted(claims))}")
if (same, fresh, sorted(claims)) != (["first", "first"], ["first", "second"], ["aud", "exp", "sub"]):
    sys.exit("Changed: the tokens are made out differently.")
print("As described: the second service gets a token that is made out to the first.")
EOF
