"""Chats, mail and the many other services that Apprise knows, by a URL of theirs.

Rules: the URL holds a secret, so neither it nor a part of it is logged, stored or shown, whatever Apprise or what is
below it would say; its name of the service is. Apprise blocks, so it runs in a thread of the target's own, with a limit
of time. It is loaded when the first report is sent, as it takes its time.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from stentor.config import ReportTarget
from stentor.errors import CredentialError
from stentor.providers.base import read_text
from stentor.reporting.events import EventKind, ReportEvent
from stentor.reporting.letter import Letter, calls_nobody, letter_of, markdown_escaped, slack_escaped
from stentor.reporting.one_thread import OneThread, StillBusy
from stentor.reporting.outbox import TargetAnswer
from stentor.reporting.receiver import WITHIN

if TYPE_CHECKING:
    from apprise import Apprise, NotifyBase

THREAD = "report to "
"""What the names of our threads begin with."""
_TALKATIVE = ("urllib3.connectionpool", "urllib3.util.retry", "requests")
"""Loggers that tell of URLs."""
_SEVERITY = MappingProxyType(
    {
        EventKind.COMPLETED: "success",
        EventKind.FAILED: "failure",
        EventKind.CANCELLED: "info",
        EventKind.PAUSED: "failure",
        EventKind.STALLED: "warning",
        EventKind.LANE_STOPPED: "failure",
        EventKind.LANE_RESUMED: "success",
        EventKind.RUN_NOT_SENT: "warning",
        EventKind.TEST: "info",
    }
)
_URL = re.compile(r"\w+://\S+")
_SHORTEST_SECRET = 4
"""Characters of a part of a URL from which on it is kept out of what is shown."""


class AppriseReceiver:
    """One URL of Apprise's."""

    def __init__(self, name: str, settings: ReportTarget) -> None:
        self._setting = f"reports.targets.{name}"
        self._settings = settings
        self._thread: OneThread[TargetAnswer] = OneThread(THREAD + name)

    def __repr__(self) -> str:
        return f"<AppriseReceiver {self._setting}>"

    @property
    def kind(self) -> str:
        """The service, by the beginning of its URL: `slack`."""
        try:
            scheme, sign, _ = self._url().partition("://")
        except CredentialError:
            return "unknown"
        return scheme if sign else "unknown"

    async def check(self) -> str | None:
        answer = await self._try(self._check)
        return None if answer.sent else answer.text

    async def tell(self, event: ReportEvent, now: float) -> TargetAnswer:
        return await self._try(lambda: self._tell(event))

    async def _try(self, call: Callable[[], TargetAnswer]) -> TargetAnswer:
        """What a call that blocks finds, or what became of it."""
        try:
            return await self._thread.run(call, WITHIN)
        except StillBusy:
            return TargetAnswer(sent=False, text="the try before this one has not ended yet")
        except TimeoutError:
            return TargetAnswer(sent=False, text=f"no answer within {WITHIN:g} s")
        except Exception as error:  # noqa: BLE001 - of a hundred services' code; what it says may hold a secret
            return TargetAnswer(sent=False, text=f"Apprise failed with {type(error).__name__}")

    def _check(self) -> TargetAnswer:
        found = self._open()
        return found if isinstance(found, TargetAnswer) else TargetAnswer(sent=True)

    def _tell(self, event: ReportEvent) -> TargetAnswer:
        """Blocks."""
        found = self._open()
        if isinstance(found, TargetAnswer):
            return found
        apprise, service, url = found
        title, body, form = written_for(service, letter_of(event))
        told = apprise.notify(
            body=body, title=title, notify_type=_SEVERITY[event.kind], body_format=form, log_level=logging.WARNING
        )
        said = [without_secrets(entry.message, url) for result in told for entry in result.logs()]
        if told:
            return TargetAnswer(sent=True, text=f"{service.service_name} took it")
        return TargetAnswer(sent=False, text=" ".join(said) or f"{service.service_name} didn't take it")

    def _open(self) -> tuple[Apprise, NotifyBase, str] | TargetAnswer:
        """What tells the service, the service, and its URL; or what is wrong with the settings. Blocks."""
        try:
            url = self._url()
        except CredentialError as error:
            return TargetAnswer(sent=False, text=str(error))
        _keep_quiet()
        from apprise import Apprise, AppriseAsset, OverflowMode  # noqa: PLC0415 - it takes its time

        # Without a limit of its own it stays in this thread; else it takes one that the process' end waits for.
        asset = AppriseAsset(app_id="Stentor", app_desc="Stentor", async_mode=False, service_timeout=0)
        service = Apprise.instantiate(url, asset=asset)
        if service is None:
            remedy = "compare it with Apprise's page about the service"
            return TargetAnswer(sent=False, text=f"{self._where}: is no URL that Apprise understands; {remedy}")
        if service.overflow_mode == OverflowMode.UPSTREAM:
            service.overflow_mode = OverflowMode.TRUNCATE
        apprise = Apprise(asset=asset)
        apprise.add(service)
        return apprise, service, url

    @property
    def _where(self) -> str:
        """The setting with the URL, or its file."""
        return f"{self._setting}.url" if self._settings.url_file is None else str(self._settings.url_file)

    def _url(self) -> str:
        """Raises: CredentialError."""
        if self._settings.url is not None:
            return self._settings.url.strip()
        file = self._settings.url_file
        assert isinstance(file, Path)
        urls = [line.strip() for line in read_text(file).splitlines() if line.strip() and not line.startswith("#")]
        if len(urls) != 1:
            raise CredentialError(f"{file} must hold exactly one URL, and holds {len(urls)}; a target has one")
        return urls[0]


def written_for(service: NotifyBase, letter: Letter) -> tuple[str, str, str]:
    """The title, the body and its format, as a service shows them best."""
    forms: Any = service.notify_format  # one, or several, the one it likes best first
    names = [str(each.value) for each in (forms if isinstance(forms, tuple) else (forms,))]
    name = str(service.service_name)
    if name == "Slack":
        return letter.title, _fitting(letter, lambda each: each.markdown(slack_escaped), service), "markdown"
    form = "markdown" if name == "Discord" and "markdown" in names else names[0]
    write: dict[str, Callable[[Letter], str]] = {
        "markdown": lambda each: each.markdown(markdown_escaped),
        "html": lambda each: each.html(),
        "text": lambda each: calls_nobody(each.text()),
    }
    if form not in write:
        form = "text"
    if form == "text" or (service.title_maxlen > 0 and name != "Discord"):
        return letter.title, _fitting(letter, write[form], service), form
    # It has no title of its own: Apprise would put ours, unescaped, before the body.
    title = escape(letter.title) if form == "html" else markdown_escaped(letter.title)
    before = f"<p><b>{title}</b></p>\n" if form == "html" else f"**{title}**\n\n"
    return "", before + _fitting(letter, write[form], service, len(before)), form


def _fitting(letter: Letter, write: Callable[[Letter], str], service: NotifyBase, used: int = 0) -> str:
    """The body with as many of what is listed as the service has room for."""
    room = service.body_maxlen - used - len(letter.title)
    while len(body := write(letter)) > room and letter.listed:
        letter = replace(letter, listed=letter.listed[:-1])
    return body


def without_secrets(text: str, url: str) -> str:
    """What Apprise says, without a URL or a part of the target's that may be secret."""
    text = _URL.sub("…", text)
    parts = urlsplit(url)
    pieces = {parts.username or "", parts.password or "", *re.split(r"[/?&=,:]", f"{parts.path}?{parts.query}")}
    if "." not in (parts.hostname or ""):  # a token stands where the host does
        pieces.add(parts.netloc.rpartition("@")[2])
    pieces |= {unquote(piece) for piece in pieces}
    for piece in sorted(pieces, key=len, reverse=True):
        if len(piece) >= _SHORTEST_SECRET:
            text = re.sub(re.escape(piece), "…", text, flags=re.IGNORECASE)
    return " ".join(text.split())


class _NotOurs(logging.Filter):
    """Lets no record of our threads through."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.threadName or "").startswith(THREAD)


@cache
def _keep_quiet() -> None:
    """Have what Apprise and the HTTP client below it log go nowhere: there are tokens in it."""
    apprise = logging.getLogger("apprise")
    apprise.addHandler(logging.NullHandler())
    apprise.setLevel(logging.WARNING)
    apprise.propagate = False
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_NotOurs())
