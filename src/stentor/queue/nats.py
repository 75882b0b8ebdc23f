"""A connection to NATS JetStream that outlives servers, and what is wrong with it in words that help.

Rules: a mistake that waiting cannot mend (wrong credentials, no JetStream, missing rights, too old a server, messages
too small) is said at once, as a configuration error with its remedy; all else passes, and whoever asked tries again.
Nothing is answered that the server has not confirmed. The URL's user and password are in no message and no repr.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import nkeys  # type: ignore[import-untyped]  # has no annotations
from nats import errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js import errors as js_errors

from stentor.absence import Absence
from stentor.batch import LARGEST_BATCH
from stentor.config import QueueConfig
from stentor.errors import InvalidConfiguration, QueueUnavailable, StentorError

logger = logging.getLogger(__name__)

CONNECT_WITHIN = 4.5
"""Seconds in which one of the servers must have let us in."""
ANSWER_WITHIN = 5.0
"""Seconds in which a request must be answered."""
CLOSE_WITHIN = 0.5
"""Seconds in which a connection is closed in good order."""
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
FULL = frozenset({10002, 10023, 10026, 10027, 10028, 10047, 10077, 10122})
"""Error codes: resources or limits of the account, server or stream are used up."""
TOO_FEW = frozenset({10005, 10074})
"""Error codes: no suitable peers for placement; replicas in non-clustered mode."""
OVERLAP, NO_STREAM = 10065, 10059
"""Error codes."""
WRONG_LAST = frozenset({10071, 10164})
"""Error codes: the last message of a subject is another than was expected."""
T = TypeVar("T")

CLOSED = "the handler is closed"
"""What uvloop says to whoever writes to a connection that was lost a moment ago, before the client has noticed."""


class StreamGone(QueueUnavailable):
    """NATS has no such stream or consumer, or nobody leads it just now."""


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
        self._absence = Absence(self.name, logger)
        self._client: Client | None = None
        self._attempt: asyncio.Task[Client] | None = None
        self._said: Exception | None = None  # what a server complained of last; it often does so apart from an answer
        self._mistakes = 0
        self._scopes: set[_Scope] = set()
        self._spared: set[str] = set()

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def spare(self, subject: str) -> None:
        """We can do without the rights to this subject."""
        self._spared.add(subject.lower())

    async def client(self) -> Client:
        """Connected, or about to be again. Whoever gives up waiting for it doesn't keep others from getting it.

        Raises: QueueUnavailable, InvalidConfiguration.
        """
        if self._client is not None and not self._client.is_closed:
            return self._client
        if self._attempt is None:
            self._attempt = asyncio.create_task(self._connect())
            self._attempt.add_done_callback(self._attempted)
        return await asyncio.shield(self._attempt)

    def _attempted(self, attempt: asyncio.Task[Client]) -> None:
        self._attempt = None
        if not attempt.cancelled() and attempt.exception() is None:
            self._client = attempt.result()

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
        async with self.trouble():
            client = await self.client()
            await together(client.request(reply, what, timeout=ANSWER_WITHIN) for reply, what in acknowledgements)

    @asynccontextmanager
    async def trouble(self) -> AsyncIterator[None]:
        """Errors of the client within leave as ours; at once where the server forbids what is asked, which it says
        apart, and where the connection is lost, as no answer will come then.

        Raises: QueueUnavailable, InvalidConfiguration.
        """
        scope: _Scope | None = None
        task = asyncio.current_task()
        cancelled = task.cancelling() if task is not None else 0
        try:
            async with asyncio.timeout(None) as timeout:
                scope = _Scope(timeout)
                self._scopes.add(scope)
                yield
        except (TimeoutError, errors.Error, js_errors.Error, OSError) as error:
            if scope is not None and scope.end is not None:
                raise scope.end from error
            raise self._diagnose(error) from error
        except RuntimeError as error:
            if CLOSED not in str(error):
                raise
            raise self._diagnose(ConnectionResetError(str(error))) from error
        finally:
            self._absence.note(self.problem)
            if scope is not None:
                self._scopes.discard(scope)
        if task is not None and task.cancelling() > cancelled:
            raise asyncio.CancelledError  # `wait_for`, before Python 3.12, loses one that comes together with an answer

    async def aclose(self) -> None:
        if self._attempt is not None:
            self._attempt.cancel()
            await asyncio.wait([self._attempt])
        client, self._client = self._client, None
        if client is not None:
            await _close(client)

    # -- connecting -------------------------------------------------------------------------------------------------

    async def _connect(self) -> Client:
        client = Client()
        self._said, self._mistakes = None, 0
        async with self.trouble():
            options = self._options(client)
            try:
                try:
                    async with asyncio.timeout(CONNECT_WITHIN):
                        await client.connect(self._servers, **options)
                except TimeoutError:
                    raise self._last_said() from None
                await self._check(client)
            except BaseException:
                await _close(client)
                raise
        return client

    def _options(self, client: Client) -> dict[str, Any]:
        options: dict[str, Any] = {
            "name": self._config.name,
            "error_cb": self._on_error,
            "disconnected_cb": self._on_loss,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": RECONNECT_WAIT,
            "connect_timeout": 2,
            "ping_interval": 5,
            "max_outstanding_pings": 2,
            "pending_size": PENDING,
        }
        if self._config.credentials_file is not None:
            credentials = _Credentials(self._config.credentials_file)
            credentials.check()
            options |= {"user_jwt_cb": credentials.jwt, "signature_cb": credentials.sign}
        if self._user is not None:  # the client would take them out of the URLs as they are quoted there
            user, password = unquote(self._user.username or ""), self._user.password
            if password is None:
                options["token"] = self._unless_open(client, user)
            else:
                options |= {"user": user, "password": self._unless_open(client, unquote(password))}
        if (context := self._tls()) is not None:
            options["tls"] = context
        return options

    def _unless_open(self, client: Client, secret: str) -> Callable[[], str]:
        """The secret, asked for each time that we log in; it doesn't leave over a connection that should be TLS and
        isn't, as the client would have it."""

        def tell() -> str:
            if self._lacks_tls(client):
                raise errors.SecureConnWantedError
            return secret

        return tell

    def _lacks_tls(self, client: Client) -> bool:
        # Nothing public says it.
        return self._wants_tls and not client._server_info.get("tls_required")

    @property
    def _wants_tls(self) -> bool:
        return any(server.startswith("tls:") for server in self._servers)

    def _tls(self) -> ssl.SSLContext | None:
        config = self._config
        if config.ca_file is None and config.certificate_file is None and not self._wants_tls:
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
        """The client tells what it cannot tell whoever asked."""
        self._said = error
        if "permissions violation" in str(error).lower():
            if not any(f'"{subject}"' in str(error).lower() for subject in self._spared):
                self._end_all(self._no_right(str(error)))
        elif self._client is None and (mistake := self._mistake(error)) is not None:
            self._mistakes += 1
            if self._mistakes >= len(self._servers):  # one of several may be wrong, or behind the others
                self._end_all(mistake)

    async def _on_loss(self) -> None:
        if self._client is not None:
            self._end_all(QueueUnavailable(f"{self.name}: the connection was lost."))

    def _end_all(self, why: StentorError) -> None:
        now = asyncio.get_running_loop().time()
        for scope in self._scopes:
            if scope.end is None:
                scope.end = why
                scope.timeout.reschedule(now)

    async def _check(self, client: Client) -> None:
        """See that the server can do what we need of it."""
        if self._lacks_tls(client):
            raise errors.SecureConnWantedError
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
        await client.jetstream(timeout=ANSWER_WITHIN).account_info()

    # -- errors -----------------------------------------------------------------------------------------------------

    def _diagnose(self, error: BaseException) -> StentorError:
        if isinstance(error, StentorError):
            return error
        return self._mistake(error) or self._passing(error)

    def _mistake(self, error: BaseException) -> InvalidConfiguration | None:
        """What waiting doesn't mend."""
        said = str(error)
        code = getattr(error, "err_code", None)
        if isinstance(error, errors.AuthorizationError) or "authorization violation" in said.lower():
            return InvalidConfiguration(
                f"{self.name} refuses us; check the user and password in `queue.url`, or `queue.credentials_file`."
            )
        if "user authentication expired" in said.lower() or "user authentication revoked" in said.lower():
            return InvalidConfiguration(f"{self.name} says that our credentials have expired; get new ones.")
        if isinstance(error, errors.InvalidUserCredentialsError):
            return InvalidConfiguration(f"queue.credentials_file: {error}")
        if isinstance(error, ssl.SSLCertVerificationError):
            return InvalidConfiguration(
                f"{self.name}: its certificate isn't trusted, or is for another host; set `queue.ca_file`, or correct"
                f" the host in `queue.url`. ({error.verify_message})"
            )
        if isinstance(error, errors.SecureConnWantedError):
            return InvalidConfiguration(
                f"{self.name} offers no TLS; write nats:// in `queue.url`, or configure TLS on the server."
            )
        if isinstance(error, ssl.SSLError) and "ALERT" in said.upper():
            return InvalidConfiguration(
                f"{self.name} wants a client certificate, or another one; check `queue.certificate_file`. ({said})"
            )
        # A server that is going down says the same, but nobody gets to connect to it.
        no_jetstream = code in NO_JETSTREAM or (isinstance(error, js_errors.ServiceUnavailableError) and code is None)
        if no_jetstream and self._client is None:
            return self._no_jetstream()
        if code in TOO_FEW:
            return InvalidConfiguration(
                f"{self.name} has too few servers for `queue.replicas = {self._config.replicas}`;"
                " start more, or lower it."
            )
        if code == OVERLAP:
            return InvalidConfiguration(
                f"{self.name} has another program's stream for our subjects; choose another `queue.name`."
            )
        return self._no_right(said) if "permissions violation" in said.lower() else None

    def _passing(self, error: BaseException) -> QueueUnavailable:
        said = str(error) or str(self._said or "")
        if isinstance(error, js_errors.NoStreamResponseError | errors.NoRespondersError) or (
            getattr(error, "err_code", None) == NO_STREAM or str(error) == str(js_errors.ServiceUnavailableError())
        ):
            return StreamGone(f"{self.name} has no leader for our streams just now, or no JetStream.")
        if getattr(error, "err_code", None) in FULL:
            return QueueUnavailable(
                f"{self.name} has no room: {getattr(error, 'description', said)}; it goes on by itself when there is."
            )
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


@dataclass(slots=True, eq=False)
class _Scope:
    """Somebody who waits for an answer."""

    timeout: asyncio.Timeout
    end: StentorError | None = None
    """Why there won't be one."""


class _Credentials:
    """A `.creds` file, read anew for each login, as it may have been renewed. The client's own reader never comes back
    from a file that is none."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def check(self) -> None:
        """Raises: nats.errors.InvalidUserCredentialsError."""
        self.jwt()
        self.sign("")

    def jwt(self) -> bytes:
        return self._part(b"NATS USER JWT")

    def sign(self, nonce: str) -> bytes:
        seed = self._part(b"USER NKEY SEED")
        try:
            return base64.b64encode(nkeys.from_seed(bytearray(seed)).sign(nonce.encode()))
        except (nkeys.NkeysError, ValueError):
            raise _CredentialsError(f"the key in {self._file} is broken; get the file again") from None

    def _part(self, name: bytes) -> bytes:
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            raise _CredentialsError(f"there is no {self._file}") from None
        except OSError as error:
            raise _CredentialsError(f"{self._file} cannot be read: {error.strerror}") from None
        found = re.search(rb"BEGIN " + name + rb"-+\s+(\S+)\s", content)
        if found is None:
            raise _CredentialsError(f"{self._file} is not a NATS credentials file; ask your NATS administrator for one")
        return found[1]


class _CredentialsError(errors.InvalidUserCredentialsError):
    def __init__(self, what: str) -> None:
        super().__init__(what)
        self._what = what

    def __str__(self) -> str:
        return f"{self._what}."


async def together(things: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All at once; if one fails, none goes on."""
    coroutines = list(things)
    if len(coroutines) == 1:
        return [await coroutines[0]]
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _close(client: Client) -> None:
    """The client itself leaves a connection open that it was about to close, where a TLS handshake failed it waits for
    ever for the end of one, and where the connection broke it raises what broke it."""
    with suppress(OSError):  # TimeoutError is one
        async with asyncio.timeout(CLOSE_WITHIN):
            await client.close()
    transport = client._transport  # nothing public has it
    for writer in (getattr(transport, name, None) for name in ("_io_writer", "_bare_io_writer")):
        if writer is not None:
            writer.transport.abort()
    await asyncio.sleep(0)  # the loop closes it now


def _where(server: SplitResult) -> str:
    host = f"[{server.hostname}]" if ":" in (server.hostname or "") else server.hostname
    return f"{host}:{server.port or 4222}"
