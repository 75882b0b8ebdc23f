#!/usr/bin/env bash
# uvloop: a child process keeps a second descriptor of each of its own pipes. One that closes its standard output to say
# that nothing more will come is heard only when it ends; under asyncio's own loop its reader is told at once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --timeout 60 --retries 1 uvloop==0.23.0
"$folder/venv/bin/python" - <<'EOF'
import asyncio
import platform
import sys
from importlib.metadata import version
from time import monotonic

import uvloop

LIVES = 3.0  # seconds that the child goes on after it has closed its output
CHILD = f"import os, time; os.write(1, b'done'); os.close(1); time.sleep({LIVES})"


async def seconds_until_the_end() -> float:
    """How long after its last byte the reader learns that the child's output has ended."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    assert await child.stdout.readexactly(4) == b"done"
    began = monotonic()
    assert await child.stdout.read() == b""
    took = monotonic() - began
    await child.wait()
    return took


print(f"uvloop {version('uvloop')}, Python {platform.python_version()}, {platform.system()}")
print(f"the child closes its output and lives for {LIVES:g} s more")
print("expected: on both loops the reader is told at once")
plain = asyncio.run(seconds_until_the_end())
with_uvloop = asyncio.Runner(loop_factory=uvloop.new_event_loop).run(seconds_until_the_end())
print(f"seen: asyncio's own loop after {plain:.1f} s, uvloop after {with_uvloop:.1f} s")
sys.exit(0 if plain < LIVES / 2 <= with_uvloop else 1)
EOF
