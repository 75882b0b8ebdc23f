"""A connection to NATS JetStream that outlives servers, and what is wrong with it in words that help.

Rules: a mistake that waiting cannot mend (wrong credentials, no JetStream, missing rights, too old a server, messages
too small) is said at once, as a configuration error with its remedy; all else passes, and whoever asked tries again.
Nothing is answered that the server has not confirmed. The URL's user and password are in no message and no repr.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from nats import errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js import errors as js_errors

from stentor.batch import LARGEST_BATCH
from stentor.config import QueueConfig
from stentor.errors import InvalidConfiguration, QueueUnavailable, StentorError

CONNECT_WITHIN = 5.0
"""Seconds in which one of the servers must have let us in."""
ANSWER_WITHIN = 5.0
"""Seconds in which a request must be answered."""
RECONNECT_WAIT = 0.25
"""Seconds between two attempts at one server."""
LEAST_VERSION = (2, 10)
OVERHEAD = 4096
"""Bytes that headers and subject add to a message at most."""
LARGEST_MESSAGE = LARGEST_BATCH + OVERHEAD
PENDING = 8 * 1024 * 1024
"""Bytes to be written that the client holds at most, while it is connected."""

NO_JETSTREAM = frozenset({10039, 10076})
"""Error codes: not enabled for the account; not enabled."""
FULL = frozenset({10023, 10047, 10077, 10028, 10122})
"""Error codes: resources or limits of the account, server or stream are used up."""


class Nats:
    """The servers of one `[queue]`. Connects on first use, and again whenever the connection was lost for good."""

    def __init__(self, config: QueueConfig) -> None:
        assert config.url is not None
        self._config = config
        parts = [urlsplit(server.strip()) for server in config.url.split(",")]
        self._servers = [f"{each.scheme}://{_where(each)}" for each in parts]
        self._user = next((each for each in parts if each.username), None)
        self.name: Final = f"NATS on {', '.join(map(_where, parts))}"
        """What people are told it is, without user or password."""
        self._client: Client | None = None
        self._connecting = asyncio.Lock()
        self._said: Exception | None = None  # what a server complained of last; it often does so apart from an answer
        self._refused = asyncio.Event()

    def __repr__(self) -> str:
        return f"<{self.name}>"

    async def client(self) -> Client:
        """Connected, or about to be again.

        Raises: QueueUnavailable, InvalidConfiguration.
        """
        if not self._is_open:
            async with self._connecting:
                if not self._is_open:
                    self._client = await self._connect()
        assert self._client is not None
        return self._client

    @property
    def _is_open(self) -> bool:
        return self._client is not None and not self._client.is_closed

    @property
    def problem(self) -> str | None:
        """Why nothing can be asked of it just now; None while it is connected."""
        if self._client is not None and self._client.is_connected:
            return None
        return f"{self.name} cannot be reached"

    async def jetstream(self) -> JetStreamContext:
        """JetStream over `client`. Raises: as `client`."""
        return (await self.client()).jetstream(timeout=ANSWER_WITHIN)

    async def request(self, subject: str, payload: bytes = b"") -> bytes:
        """The answer to a request. Raises: QueueUnavailable, InvalidConfiguration."""
        async with self.trouble():
            client = await self.client()
            return bytes((await client.request(subject, payload, timeout=ANSWER_WITHIN)).data)

    async def confirm(self, acknowledgements: Iterable[tuple[str, bytes]]) -> None:
        """Send acknowledgements (where to, what), and return when the server has all of them.

        Raises: QueueUnavailable, InvalidConfiguration: it may have some.
        """
        await asyncio.gather(*(self.request(reply, what) for reply, what in acknowledgements))

    @asynccontextmanager
    async def trouble(self) -> AsyncIterator[None]:
        """Errors of the client within leave as ours.

        Raises: QueueUnavailable, InvalidConfiguration.
        """
        try:
            yield
        except (TimeoutError, errors.Error, js_errors.Error, OSError) as error:
            raise self._diagnose(error) from error

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None and not client.is_closed:
            await client.close()

    # -- connecting -------------------------------------------------------------------------------------------------

    async def _connect(self) -> Client:
        client = Client()
        self._said = None
        self._refused.clear()
        refused = asyncio.ensure_future(self._refused.wait())
        connecting = asyncio.ensure_future(self._open(client))
        try:
            await asyncio.wait([connecting, refused], timeout=CONNECT_WITHIN, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise self._diagnose(self._last_said())
            async with self.trouble():
                connecting.result()
            await self._check(client)
        except BaseException:
            connecting.cancel()
            await asyncio.wait([connecting, asyncio.ensure_future(client.close())], timeout=1)  # it may hang after TLS
            raise
        finally:
            refused.cancel()
        return client

    async def _open(self, client: Client) -> None:
        options: dict[str, Any] = {}
        if self._config.credentials_file is not None:
            if not self._config.credentials_file.exists():
                raise InvalidConfiguration(f"queue.credentials_file: there is no {self._config.credentials_file}")
            options["user_credentials"] = str(self._config.credentials_file)
        if self._user is not None:  # the client would take them out of the URLs as they are quoted there
            user, password = unquote(self._user.username or ""), self._user.password
            options |= {"token": user} if password is None else {"user": user, "password": unquote(password)}
        if (context := self._tls()) is not None:
            options["tls"] = context
        await client.connect(
            self._servers,
            name=self._config.name,
            error_cb=self._on_error,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_WAIT,  # type: ignore[arg-type]  # fractions do as well
            connect_timeout=2,
            ping_interval=5,
            max_outstanding_pings=2,
            pending_size=PENDING,
            **options,
        )

    def _tls(self) -> ssl.SSLContext | None:
        config = self._config
        if config.ca_file is None and config.certificate_file is None and not self._servers[0].startswith("tls:"):
            return None
        try:
            context = ssl.create_default_context(cafile=config.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise InvalidConfiguration(f"queue.ca_file: {config.ca_file} cannot be used: {error}") from None
        if config.certificate_file is not None:
            try:
                context.load_cert_chain(config.certificate_file, config.certificate_key_file)
            except (OSError, ssl.SSLError) as error:
                raise InvalidConfiguration(
                    f"queue.certificate_file: {config.certificate_file} cannot be used: {error}"
                ) from None
        return context

    def _last_said(self) -> Exception:
        return errors.NoServersError() if self._said is None else self._said

    async def _on_error(self, error: Exception) -> None:
        self._said = error
        if isinstance(self._diagnose(error), InvalidConfiguration):
            self._refused.set()

    async def _check(self, client: Client) -> None:
        """See that the server can do what we need of it."""
        version = client.connected_server_version
        if (version.major, version.minor) < LEAST_VERSION:
            raise InvalidConfiguration(
                f"{self.name} is version {version.major}.{version.minor}; Stentor needs 2.10 or newer, so upgrade it."
            )
        if client.max_payload < LARGEST_MESSAGE:
            raise InvalidConfiguration(
                f"{self.name} takes messages of {client.max_payload:,} bytes, and a batch may have {LARGEST_MESSAGE:,};"
                " set `max_payload: 1MB` in its configuration."
            )
        async with self.trouble():
            await client.jetstream(timeout=ANSWER_WITHIN).account_info()

    # -- errors -----------------------------------------------------------------------------------------------------

    def _diagnose(self, error: BaseException) -> StentorError:
        if isinstance(error, StentorError):
            return error
        return self._mistake(error) or self._passing(error)

    def _mistake(self, error: BaseException) -> InvalidConfiguration | None:
        """What waiting doesn't mend."""
        said = str(error) or str(self._said or "")
        code = getattr(error, "err_code", None)
        if isinstance(error, errors.AuthorizationError) or "authorization violation" in said.lower():
            return InvalidConfiguration(
                f"{self.name} refuses us; see to the user and password in `queue.url`, or to `queue.credentials_file`."
            )
        if "user authentication expired" in said.lower() or "user authentication revoked" in said.lower():
            return InvalidConfiguration(f"{self.name} says that our credentials have expired; get new ones.")
        if isinstance(error, ssl.SSLCertVerificationError):
            return InvalidConfiguration(f"{self.name}: its certificate isn't trusted; set `queue.ca_file`. ({said})")
        if isinstance(error, errors.SecureConnRequiredError | errors.SecureConnWantedError):
            return InvalidConfiguration(f"{self.name} and we disagree on TLS; write tls:// in `queue.url`, or nats://.")
        if code in NO_JETSTREAM or (isinstance(error, js_errors.ServiceUnavailableError) and code is None):
            return self._no_jetstream()
        if isinstance(error, TimeoutError):
            said = str(self._said)  # it says what we may not, and leaves the request unanswered
        return self._no_right(said) if "permissions violation" in said.lower() else None

    def _passing(self, error: BaseException) -> QueueUnavailable:
        said = str(error) or str(self._said or "")
        if isinstance(error, js_errors.NoStreamResponseError | errors.NoRespondersError):
            return QueueUnavailable(f"{self.name} has no leader for our streams just now, or no JetStream.")
        if getattr(error, "err_code", None) in FULL:
            return QueueUnavailable(f"{self.name} has no room: {getattr(error, 'description', said)}.")
        if isinstance(error, TimeoutError):
            return QueueUnavailable(f"{self.name} doesn't answer.")
        return QueueUnavailable(f"{self.name} cannot be reached; are the servers running? ({said or 'no answer'})")

    def _no_jetstream(self) -> InvalidConfiguration:
        return InvalidConfiguration(
            f"{self.name} has no JetStream; set `jetstream {{ store_dir: … }}` in its configuration, and enable it for"
            " the account."
        )

    def _no_right(self, said: str) -> InvalidConfiguration:
        what = said.rpartition(" for ")[2].strip('" ') if " for " in said else said
        return InvalidConfiguration(
            f"{self.name} doesn't let us {what}; give the user in `queue.url` the rights that docs/scale.md lists."
        )


def _where(server: SplitResult) -> str:
    host = f"[{server.hostname}]" if ":" in (server.hostname or "") else server.hostname
    return f"{host}:{server.port or 4222}"
