"""A PostgreSQL database's URL, read as libpq reads it: several hosts, and options after a `?`. Pure.

Rules: what is wrong with a URL is told without any piece of it, for a password that isn't escaped may lie anywhere in
it; an option of libpq's is taken, or named among those that are ignored; every other one is a setting of the server's,
which the server itself takes or refuses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlencode

SCHEMES = ("postgresql://", "postgres://")
ESCAPED = "In a user or a password write / as %2F, ? as %3F, # as %23, @ as %40, [ as %5B and ] as %5D"
DEFAULT_PORT = 5432
SYSTEM = "system"
"""As `sslrootcert`: the authorities that this machine trusts."""

_IGNORED = frozenset(
    {
        *("channel_binding", "client_encoding", "gssdelegation", "gssencmode", "hostaddr"),
        *("keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "tcp_user_timeout"),
        *("load_balance_hosts", "max_protocol_version", "min_protocol_version", "replication", "require_auth"),
        *("requirepeer", "requiressl", "scram_client_key", "scram_server_key", "servicefile", "sslcertmode"),
        *("sslcompression", "sslcrldir", "sslkeylogfile", "sslsni"),
    }
)
"""Options of libpq's that the driver has nothing for, or that mean nothing here."""
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+(?:%25[\w.-]+)?\]|[^\[\]:,\s]*)(?::(?P<port>[0-9]{0,5}))?", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresqlUrl:
    """Where a database is, and how it is to be connected to."""

    dsn: str = field(repr=False)
    """For the driver: all that the URL says, as options."""
    database: str
    where: str
    """Host and port, for people; several of them with commas between."""
    connect_within: float | None
    """Seconds in which the server must have let us in, if the URL says so."""
    trusts_system: bool
    """Encrypted, and the server's certificate is checked against the authorities that this machine trusts."""
    files: tuple[str, ...]
    """Certificates and keys that must be there."""
    ignored: tuple[str, ...]
    """Options that change nothing here."""


def is_postgresql(url: str) -> bool:
    return url.startswith(SCHEMES)


def read(url: str) -> PostgresqlUrl:
    """What a URL says.

    Raises:
        ValueError: it isn't right; the message says why, and holds no piece of it.
    """
    rest = url.partition("://")[2]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path, _, query = rest[len(authority) :].partition("?")
    login, _, hosts = authority.rpartition("@")
    if "#" in rest or re.search(r"[@\[\]]", login) or (authority and "@" in path + query):
        raise ValueError(f"a character in it must be escaped. {ESCAPED}")
    found = [_host(each) for each in hosts.split(",")]
    options = _options(query)
    database = unquote(path[1:]) or options.get("dbname") or options.get("database") or ""
    if not database:
        raise ValueError("it names no database")
    within = _seconds(options.pop("connect_timeout", ""))
    ignored = tuple(sorted(options.keys() & _IGNORED))
    if (name := options.pop("fallback_application_name", "")) and "application_name" not in options:
        options["application_name"] = name
    names = [name for name, _ in found if name] or options.get("host", "").split(",")
    ports = _ports([port for _, port in found], options.get("port", ""), len(names))
    trusts_system = options.get("sslrootcert") == SYSTEM
    if trusts_system:
        del options["sslrootcert"]
    user, _, password = login.partition(":")
    said = {
        "user": unquote(user),
        "password": unquote(password),
        "database": database,
        "host": ",".join(names),
        "port": ",".join(map(str, ports)),
    }
    kept = {name: value for name, value in options.items() if name not in {*ignored, "dbname"}}
    kept |= {name: value for name, value in said.items() if value}
    return PostgresqlUrl(
        dsn=f"postgresql://?{urlencode({name: value for name, value in kept.items() if value}, quote_via=quote)}",
        database=database,
        where=",".join(
            name if name.startswith("/") else f"{name or 'localhost'}:{port}"
            for name, port in zip(names, ports or [DEFAULT_PORT] * len(names), strict=True)
        ),
        connect_within=within,
        trusts_system=trusts_system,
        files=tuple(options[name] for name in _FILES if options.get(name)),
        ignored=ignored,
    )


def _host(text: str) -> tuple[str, str]:
    """A host, unescaped, and its port, empty if it names none."""
    parts = _HOST.fullmatch(text)
    if parts is None:
        raise ValueError(f"its host must be a name or an address, and its port a number. {ESCAPED}")
    return unquote(parts["host"]), parts["port"] or ""


def _ports(beside: list[str], apart: str, hosts: int) -> list[int]:
    """A port for each host, from those beside the hosts or from the option; empty if none is named."""
    named = beside if any(beside) else apart.split(",") if apart else []
    for port in filter(None, named):
        if not (port.isascii() and port.isdecimal() and 0 < int(port) <= 65535):
            raise ValueError("its port must be a number from 1 to 65535")
    if len(named) == 1:
        named = named * hosts
    if named and len(named) != hosts:
        raise ValueError("it must have one port for all hosts, or as many ports as hosts")
    return [int(port or DEFAULT_PORT) for port in named]


def _options(query: str) -> dict[str, str]:
    found = {}
    for each in query.split("&") if query else ():
        name, is_said, value = each.partition("=")
        if not (is_said and _NAME.fullmatch(name)):
            raise ValueError(f"after the ? stand options such as sslmode=require, with & between. {ESCAPED}")
        found[name] = unquote(value)
    return found


def _seconds(text: str) -> float | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        raise ValueError("its connect_timeout must be a number of seconds")
    return float(text) or None
