"""The API as it is run: by `stentor serve` and `stentor worker api`, killed, refused a port, over https."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from stentor.simulators.tls import make_server_tls
from tests.integration.api.conftest import DRAFT
from tests.integration.cli.commands import Cluster
from tests.integration.runtime.rehearsal import Facts, providers, write

pytestmark = pytest.mark.timeout(240)  # each starts several processes, which load all they need
PHONES = 40
ANY_PORT = '\n[api]\nlisten = "127.0.0.1:0"\n'
AT = r"the API and the dashboard are at (\S+)"


@pytest.fixture(scope="module")
def facts() -> Iterator[Facts]:
    with providers() as found:
        yield found


async def headers_of(cluster: Cluster) -> dict[str, str]:
    made = await cluster.json("key", "create", "tests", "--scope", "admin", "--json")
    return {"Authorization": f"Bearer {made['key']}"}


async def ended(client: httpx.AsyncClient, campaign: str) -> Any:
    """The report of a campaign, once it has ended."""
    while True:
        report = (await client.get(f"/v1/campaigns/{campaign}/report")).json()
        if report["campaign"]["state"] == "completed":
            return report


async def test_serve_opens_the_api_and_starts_it_again(tmp_path: Path, facts: Facts) -> None:
    cluster = Cluster(write(tmp_path, facts, PHONES, more=ANY_PORT))
    headers = await headers_of(cluster)
    async with cluster.running("serve", "--listen", "127.0.0.1:0") as served:
        probes = (await served.until(r"answering probes on http://(\S+)"))[1]
        process = int((await served.until(r"INFO api-1 runs as process (\d+)"))[1])
        url = (await served.until(AT))[1]
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
            made = (await client.post("/v1/campaigns?start=true", json=DRAFT)).json()
            report = await ended(client, made["id"])
            assert (report["accepted"], report["failed"]) == (PHONES, 0)
        async with httpx.AsyncClient(timeout=60) as anybody:
            assert (await anybody.get(f"http://{probes}/readyz")).status_code == 200
            metrics = (await anybody.get(f"http://{probes}/metrics")).text
            assert 'stentor_api_requests_total{operation="create_campaign",process="api-1",status="201"} 1.0' in metrics
        os.kill(process, signal.SIGKILL)
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
            found = await client.get("/v1/campaigns")  # waits until the process is there again
            assert [each["id"] for each in found.json()["campaigns"]] == [made["id"]]
            roles = (await client.get("/v1/roles")).json()
            assert process in {each["pid"] for each in roles["processes"] if each["role"] == "api"}
        await served.until("WARNING api-1 ended with signal SIGKILL")
        assert await served.stop() == 0


async def test_a_port_that_is_taken(tmp_path: Path, facts: Facts) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        cluster = Cluster(write(tmp_path, facts, PHONES, more=f'\n[api]\nlisten = "127.0.0.1:{port}"\n'))
        code, _, err = await cluster.run("serve")
        assert code == 2
        assert err.splitlines()[-1].startswith(
            f"stentor: api.listen: cannot listen on port {port} of 127.0.0.1: another"
        )


async def test_a_worker_over_https(tmp_path: Path, facts: Facts) -> None:
    tls = make_server_tls(tmp_path / "tls", provider="api")
    files = f'certificate_file = "{tls.chain_file}"\n'
    cluster = Cluster(write(tmp_path, facts, PHONES, more=ANY_PORT + files))
    headers = await headers_of(cluster)
    async with cluster.running("worker", "api") as served:
        url = (await served.until(AT))[1]
        assert url.startswith("https://127.0.0.1:")
        trusted = ssl.create_default_context(cafile=str(tls.ca_file))
        async with httpx.AsyncClient(base_url=url, headers=headers, verify=trusted, timeout=60) as client:
            assert (await client.get("/v1/campaigns")).json() == {"campaigns": [], "next": None}
        with pytest.raises(OSError, match=r"(?i)eof|reset|alert protocol"):  # the server hangs up
            outdated(tls.ca_file, url)
        assert await served.stop() == 0


def outdated(ca_file: Path, url: str) -> None:
    """Shake hands in TLS 1.1."""
    speaking = ssl.create_default_context(cafile=str(ca_file))
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        speaking.minimum_version = ssl.TLSVersion.TLSv1
        speaking.maximum_version = ssl.TLSVersion.TLSv1_1
    speaking.set_ciphers("ALL:@SECLEVEL=0")
    host, port = url.removeprefix("https://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as plain:
        speaking.wrap_socket(plain, server_hostname=host).close()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ('listen = "0.0.0.0:0"', "api: would listen on 0.0.0.0:0, where others on the network can read everything"),
        ('listen = "8383"', "api.listen: must be HOST:PORT"),
        ('certificate_file = "nosuch.pem"\nlisten = "127.0.0.1:0"', "api.certificate_file: "),
    ],
)
async def test_what_would_be_open_or_broken_is_refused(tmp_path: Path, facts: Facts, settings: str, says: str) -> None:
    cluster = Cluster(write(tmp_path, facts, PHONES, more=f"\n[api]\n{settings}\n"))
    code, _, err = await cluster.run("worker", "api")
    assert code == 2
    assert says in err
