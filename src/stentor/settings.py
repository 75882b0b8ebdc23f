"""What settings are made of: the kinds of values that tables of `stentor.toml` have, and what each kind is checked for.

`config.py` puts the tables together, and each channel's `channel.py` has that of its apps; both build on this. Rules:
a table has no setting that isn't declared; paths count from the folder of the file; an error never shows a URL, as
there may be a password in it. What a setting means is said once, in the docstring under it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationInfo

ALTERNATIVE: Final[dict[str, JsonValue]] = {"alternative": True}
"""`json_schema_extra` of a setting that excludes others of its table, which are the ones to begin with."""
_SQLITE: Final = "sqlite://"
_NO_FILE = ("", ":memory:")
ADDRESS: Final = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.%\w]+)\]|(?P<host>[^\[\]:\s]+)):(?P<port>\d{1,5})")
"""`HOST:PORT`, or `[IPv6]:PORT`."""
_OPTIONS = re.compile(r"\?\w+=[^/]*\Z")
"""What other programs take for options at the end of a URL: `?mode=ro`."""


def sqlite_path(url: str) -> str | None:
    """The path in the URL of a SQLite database: what follows the three slashes, as it is. Nothing in it is escaped, so
    that a folder may be called whatever folders are. None: it is the URL of something else.

    Raises:
        ValueError: it names no file, or more than that.
    """
    if not url.startswith(_SQLITE):
        return None
    slash, path = url[len(_SQLITE) :][:1], url[len(_SQLITE) + 1 :]
    if slash != "/" or path in _NO_FILE or "\0" in path or _OPTIONS.search(path):
        raise ValueError("must name a file and nothing else: sqlite:///path (four slashes begin an absolute one)")
    return path


def sqlite_url(path: str | Path) -> str:
    """The URL of which `sqlite_path` gives this path."""
    return f"{_SQLITE}/{path}"


def _from_folder(path: Path, info: ValidationInfo) -> Path:
    """`path`, counted from the folder of the file that is being read."""
    text = str(path)
    if not path.is_absolute() and ("-----BEGIN" in text or "\n" in text or text.startswith("{")):
        raise ValueError("must be the path of a file, not what is in the file")
    folder: Path | None = (info.context or {}).get("folder")
    return folder / path if folder else path


def _check_database(url: str, info: ValidationInfo) -> str:
    """`url`, the path in a SQLite one counted from the folder of the file. Errors don't show it."""
    if url.startswith(("postgresql://", "postgres://")):
        return url
    if (path := sqlite_path(url)) is None:
        raise ValueError("must be sqlite:///path or postgresql://user:password@host/database")
    folder: Path | None = (info.context or {}).get("folder")
    return sqlite_url(folder / path) if folder else url


def _check_endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        rest = parts._replace(scheme="", netloc="", path=parts.path.removeprefix("/")).geturl()
        good = parts.scheme == "https" and parts.hostname and "@" not in parts.netloc and not rest and parts.port != 0
    except ValueError:  # no such port
        good = False
    if not good:
        raise ValueError("must be https://host or https://host:port, without a path")
    return url


def _check_token_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc:
        raise ValueError("must be https://host/path")
    return url


def _check_issuer(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme == "https" and parts.hostname and "@" not in parts.netloc and parts.port != 0
    except ValueError:  # no such port
        good = False
    if not good or "?" in url or "#" in url or not url.isprintable() or " " in url:
        raise ValueError("must be https://host/path, as the provider writes it")
    return url


def _check_base(url: str) -> str:
    """`url` without a slash at its end. Only a browser on this machine may do without TLS."""
    try:
        parts = urlsplit(url)
        local = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
        good = parts.hostname and "@" not in parts.netloc and parts.port != 0 and (parts.scheme == "https" or local)
    except ValueError:  # no such port
        good = False
    if not good or "?" in url or "#" in url or not url.isprintable() or " " in url:
        raise ValueError("must be https://host or https://host/path (http:// only for localhost)")
    return url.rstrip("/")


def _check_link(template: str) -> str:
    try:
        parts = urlsplit(template)
        good = parts.scheme in ("https", "http") and parts.hostname and "{id}" in template and template.isprintable()
    except ValueError:
        good = False
    if not good or " " in template:
        raise ValueError("must be the address of a page with {id} in it, as https://push.example.com/campaigns/{id}")
    return template


def _check_proxy(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme == "http" and parts.hostname and parts.port
    except ValueError:
        good = False
    if not good:
        raise ValueError("must be http://host:port or http://user:password@host:port")
    return url


def _check_queue(url: str) -> str:
    parts: list[SplitResult] = []
    try:
        parts = [urlsplit(server.strip()) for server in url.split(",")]
        good = all(each.hostname and each.port != 0 and each.path in ("", "/") and not each.query for each in parts)
    except ValueError:  # no such port
        good = False
    if not good or len({each.scheme for each in parts}) != 1 or parts[0].scheme not in ("nats", "tls"):
        raise ValueError("must be nats://host:4222 or tls://host:4222, several of them with commas between")
    return url


def split(value: Any) -> Any:
    """A list as a variable gives it: `a,b`."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _check_address(text: str) -> str:
    found = ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise ValueError("must be HOST:PORT, such as 127.0.0.1:8383 or [::1]:8383; with port 0 the system chooses one")
    return text


def _check_network(text: str) -> str:
    """`text` if a web server can read it; it would silently trust nobody otherwise."""
    try:
        ip_network(text)
    except ValueError as error:
        raise ValueError(
            f"has {text!r}, which is neither an address nor a network, such as 10.0.0.7 or 10.0.0.0/24 ({error})"
        ) from None
    return text


File = Annotated[Path, AfterValidator(_from_folder)]
Address = Annotated[str, AfterValidator(_check_address)]
Network = Annotated[str, AfterValidator(_check_network)]
DatabaseUrl = Annotated[str, AfterValidator(_check_database)]
EndpointUrl = Annotated[str, AfterValidator(_check_endpoint)]
TokenUrl = Annotated[str, AfterValidator(_check_token_url)]
IssuerUrl = Annotated[str, AfterValidator(_check_issuer)]
BaseUrl = Annotated[str, AfterValidator(_check_base)]
LinkTemplate = Annotated[str, AfterValidator(_check_link)]
QueueUrl = Annotated[str, AfterValidator(_check_queue)]
ProxyUrl = Annotated[str, AfterValidator(_check_proxy)]


class Section(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


class App(Section):
    """What every channel's apps have: one set of credentials of a provider."""

    secrets: ClassVar[tuple[str, ...]] = ()
    """The settings that name files which nobody else should be able to read."""
    channel: str
    url: EndpointUrl | None = Field(default=None, examples=["https://127.0.0.1:2197"])
    """Send to this `https://host:port` instead of the provider, e.g. to a simulator."""
    ca_file: File | None = Field(default=None, examples=["rehearsal/ca.pem"])
    """A PEM file with the certificate authorities to trust, instead of the system's, e.g. a simulator's."""
    proxy: ProxyUrl | None = Field(default=None, repr=False, examples=["http://proxy.example.com:3128"])
    """A proxy that allows CONNECT: `http://host:port` or `http://user:password@host:port`."""
    max_connections: int = Field(default=16, ge=1, le=1000)
    """The maximum number of connections that each sender process opens to the provider."""
    rate: float | None = Field(default=None, gt=0, examples=[5000])
    """Send at most this many pushes per second with these credentials, all senders together. Left out: no limit."""
    default: bool = False
    """Use this app for rows without an app, if the channel has more than one."""


def listed(words: Iterable[str], conjunction: str = "and") -> str:
    """`a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} {conjunction} {last}" if most else last
