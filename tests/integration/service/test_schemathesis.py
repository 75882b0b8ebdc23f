"""Whatever the document allows is asked, and much that it forbids: no mistake of ours, and no answer that isn't in it.

Left out of the checks is that each body which fits its schema is taken: what a message or an audience must be is more
than a schema can say. Left out of the operations are those that have no end, that tell people, or take a stream
(`tests/integration/api` asks those).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.commands import Cluster
from tests.integration.runtime.rehearsal import Facts, providers, write

pytestmark = pytest.mark.timeout(400)
LEFT_OUT = ("watch_campaign", "watch_all", "test_reports", "replay_report", "put_installations")
EXAMPLES = 4
"""Of each operation's fuzzing."""


@pytest.fixture(scope="module")
def facts() -> Iterator[Facts]:
    with providers() as found:
        yield found


async def test_the_api_keeps_to_its_document(tmp_path: Path, facts: Facts) -> None:
    settings = '\n[api]\nlisten = "127.0.0.1:0"\nrate = 100000\n'
    cluster = Cluster(write(tmp_path, facts, 40, more=settings))
    key = (await cluster.json("key", "create", "tests", "--scope", "admin", "--json"))["key"]
    async with cluster.running("worker", "api") as served:
        url = (await served.until(r"dashboard are at (\S+)"))[1]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/v1/openapi.json"),
            *("--header", f"Authorization: Bearer {key}"),
            *(
                "--checks",
                "all",
                "--exclude-checks",
                "positive_data_acceptance,ignored_auth",
            ),  # 429 after 20 wrong keys
            *(part for name in LEFT_OUT for part in ("--exclude-operation-id", name)),
            *("--max-examples", str(EXAMPLES), "--seed", "7"),
            *("--request-timeout", "60", "--generation-database", "none"),
            cwd=tmp_path,
            env={**os.environ, "NO_COLOR": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        reading = asyncio.create_task(served.until("nothing is ever this"))  # so that its log never fills the pipe
        out, _ = await process.communicate()
        reading.cancel()
        assert process.returncode == 0, out.decode()[-20_000:]
