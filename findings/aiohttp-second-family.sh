#!/usr/bin/env bash
# aiohttp: a host has an IPv6 and an IPv4 address. If the first takes the TCP connection and hangs up in the TLS
# handshake, the request fails: the other address is struck off the list together with it, and never tried.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --timeout 60 --retries 1 \
    aiohttp==3.14.5 aiohappyeyeballs==2.7.1 aiosignal==1.4.0 attrs==26.1.0 frozenlist==1.8.0 idna==3.20 \
    multidict==7.2.1 propcache==0.5.4 typing-extensions==4.16.0 yarl==1.25.1 \
    cryptography==50.0.2 cffi==2.1.1 pycparser==3.12
"$folder/venv/bin/python" - "$folder" <<'EOF'
import asyncio
import platform
import socket
import ssl
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

FAMILIES = {"::1": socket.AF_INET6, "127.0.0.1": socket.AF_INET}


def make_certificate(folder: Path) -> Path:
    """A certificate for `localhost` that signs itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "localhost.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


class Resolver(AbstractResolver):
    """Knows one host, with these addresses in this order."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=each, port=port, family=FAMILIES[each], proto=6, flags=0)
            for each in self.addresses
        ]

    async def close(self) -> None:
        pass


async def main() -> None:
    certificate = make_certificate(Path(sys.argv[1]))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    reached: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer.get_extra_info("sockname")[0])
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer.get_extra_info("sockname")[0])
        writer.transport.abort()

    async def get(port: int, *addresses: str) -> str:
        reached.clear()
        connector = aiohttp.TCPConnector(
            ssl=ssl.create_default_context(cafile=certificate), resolver=Resolver(list(addresses))
        )
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as session:
            try:
                async with session.get(f"https://localhost:{port}/") as response:
                    end = f"status {response.status}"
            except aiohttp.ClientError as error:
                end = type(error).__name__
        return f"{end}; reached: {', '.join(reached)}"

    good = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    port = good.sockets[0].getsockname()[1]
    async with good:
        refused = await get(port, "::1", "127.0.0.1")
        try:
            bad = await asyncio.start_server(hang_up, "::1", port)
        except OSError as error:
            sys.exit(f"Cannot be tried: this machine has no IPv6 loopback ({error}).")
        async with bad:
            hung_up = await get(port, "::1", "127.0.0.1")
            alone = await get(port, "127.0.0.1")

    packages = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "aiohappyeyeballs"))
    print(f"versions: {packages}, Python {platform.python_version()}")
    print("expected: status 204 each time, as 127.0.0.1 is fine")
    print(f"seen if ::1 refuses the connection: {refused}")
    print(f"seen if ::1 hangs up in the TLS handshake: {hung_up}")
    print(f"seen if the resolver gives 127.0.0.1 alone: {alone}")
    fine = "status 204; reached: 127.0.0.1"
    if (refused, hung_up, alone) != (fine, "ClientConnectorError; reached: ::1", fine):
        sys.exit("Changed: one of these requests ended differently.")
    print("As described: after a failed handshake the address of the other family is not tried.")


async def limited() -> None:
    async with asyncio.timeout(60):
        await main()


asyncio.run(limited())
EOF
