"""The yardstick: h2load against nghttpd, both in C, in the shapes that our sender is measured in.

Both come from nghttp2; where they aren't installed there is no yardstick, and the bench says so.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from stentor.bench.load import AUTHORIZATION, encoder
from stentor.simulators.tls import make_server_tls

PATHS = 100_000
START_TIMEOUT = 10.0


class Yardstick(msgspec.Struct, frozen=True):
    rate: float
    """Requests a second."""
    cpu_us: float
    """User and system CPU of h2load for one request, in µs."""


def missing() -> str | None:
    """What keeps the yardstick from being measured, or None."""
    absent = [name for name in ("h2load", "nghttpd") if shutil.which(name) is None]
    return f"{' and '.join(absent)} not installed (Debian: nghttp2-client, nghttp2-server)" if absent else None


def measure(shape: Literal["apns", "fcm"], requests: int, directory: Path) -> Yardstick:
    """Run h2load once. APNs' shape: one connection of 1,000 streams, a distinct path a request, an empty answer;
    FCM's: ten connections of 100 streams, one path, JSON both ways. h2load can't vary a header, so its `apns-id` is
    constant, and thereby cheaper than ours."""
    burst = encoder(shape)(0).burst
    directory.mkdir(parents=True, exist_ok=True)
    root = directory / "answers"
    root.mkdir()
    (root / "push").write_bytes(
        b'{"name":"projects/bench/messages/0:1692853925636648%31bd1c9631bd1c96"}' if shape == "fcm" else b""
    )
    body = directory / "body"
    body.write_bytes(burst.bodies[0])
    with _nghttpd(root, directory) as port:
        target = f"https://127.0.0.1:{port}/push"
        paths = directory / "paths"
        query = (f"{target}?{number * 0x9E3779B97F4A7C15:064x}\n" for number in range(PATHS))
        paths.write_text("".join(query) if shape == "apns" else f"{target}\n")
        connections, streams = (1, 1000) if shape == "apns" else (10, 100)
        command = ["h2load", f"-n{requests}", f"-c{connections}", f"-m{streams}", f"-d{body}", f"-i{paths}"]
        for name, value in _headers(shape):
            command += ["-H", f"{name}: {value}"]
        before = os.times()
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
        after = os.times()
    found = re.search(r"finished in [^,]*, ([\d.]+) req/s", run.stdout)
    succeeded = re.search(r"(\d+) succeeded", run.stdout)
    if found is None or succeeded is None or int(succeeded[1]) != requests:
        raise RuntimeError(f"h2load failed: {run.stdout[-500:]}{run.stderr[-500:]}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return Yardstick(rate=float(found[1]), cpu_us=cpu / requests * 1e6)


def _headers(shape: Literal["apns", "fcm"]) -> list[tuple[str, str]]:
    template = encoder(shape)(0).burst.template
    constant = [(name.decode(), value.decode()) for name, value in template.constant if not name.startswith(b":")]
    if shape == "apns":
        constant.append(("apns-id", "00000000-0000-4000-8000-000000000000"))
    assert ("authorization", AUTHORIZATION.decode()) in constant
    return constant


@contextmanager
def _nghttpd(root: Path, directory: Path) -> Iterator[int]:
    tls = make_server_tls(directory / "tls", provider="apns")
    with socket.socket() as held:
        # nghttpd must be told a port. It stays bound here, though not listened on, until nghttpd ends, so that the
        # system gives it to nobody else in between; SO_REUSEADDR lets nghttpd bind it as well.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        chain = str(tls.chain_file)  # the key stands in it too
        command = ["nghttpd", "-a127.0.0.1", "-n1", "-m1000", f"-d{root}", str(port), chain, chain]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _wait_for(port, server)
            yield port
        finally:
            server.terminate()
            server.communicate()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"nghttpd did not start on port {port}")
