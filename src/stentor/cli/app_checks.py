"""What `stentor doctor` finds about an app: its credentials, and what the provider says to them.

The provider is asked to deliver to an address that cannot exist, so nobody ever gets anything. Its answer to that
("no such device") is what proves that host, certificate, credentials and topic or project are right.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from stentor.cli.findings import Finding, problem, warning
from stentor.errors import CredentialError, CredentialUnavailable, InvalidConfiguration, InvalidMessage
from stentor.http2.burst import Burst, Fate, Header, Results
from stentor.http2.pool import Pool, PoolOptions
from stentor.http2.transport import Endpoint
from stentor.model import FcmOptions, Message
from stentor.outcome import Verdict
from stentor.providers.apns import reasons as apns_reasons
from stentor.providers.apns import wire as apns
from stentor.providers.apns.channel import ApnsApp
from stentor.providers.apns.credentials import ApnsCertificate
from stentor.providers.apns.lane import ApnsLane
from stentor.providers.channels import open_lane
from stentor.providers.contract import Answer, Rule, header
from stentor.providers.fcm import reasons as fcm_reasons
from stentor.providers.fcm import wire as fcm
from stentor.providers.fcm.channel import FcmApp
from stentor.providers.fcm.credentials import FcmTokenSource
from stentor.providers.fcm.lane import FcmLane
from stentor.providers.lane import Introduces
from stentor.settings import App

MESSAGE = Message(title="stentor doctor", fcm=FcmOptions(validate_only=True))
NAME = "stentor-doctor"
NO_APNS_TOKEN = b"00"
NO_FCM_TOKEN = b"stentor-doctor"
PATIENCE = 8.0
"""Seconds in which a connection must have been made."""
SOON = 30 * 86_400.0
"""Seconds before a certificate's end from which on it is worth a warning."""
CLOCKS_DIFFER = 60.0
CLOCK_IS_WRONG = 300.0
"""Seconds by which this clock may differ from the provider's: Google refuses what is minutes off, Apple an hour."""
MEND_CLOCK = "Set this machine's clock, e.g. with NTP (`timedatectl set-ntp true`)."

APNS_RULES = {rule.reason: rule for rule in apns_reasons.TABLE}
FCM_RULES = {rule.reason: rule for rule in fcm_reasons.TABLE}

Now = Callable[[], float]


async def check_app(name: str, app: App, *, offline: bool, clock: Now = time.time) -> list[Finding]:
    """The findings about one app. `clock` gives epoch seconds."""
    if isinstance(app, ApnsApp):
        found = await _check_apns(name, app, offline, clock)
    elif isinstance(app, FcmApp):
        found = await _check_fcm(name, app, offline, clock)
    else:
        found = await _check_other(name, app, offline, clock)
    return [*found, *_check_secrecy(name, app)]


# -- all others -------------------------------------------------------------------------------------------------------


async def _check_other(name: str, app: App, offline: bool, clock: Now) -> list[Finding]:
    """A lane that can say itself whom the provider takes us for."""
    check, lane = f"apps.{name}: credentials", open_lane(name, app, clock)
    try:
        await lane.check()
        found = [Finding(check=check, detail="complete")]
        if not offline and isinstance(lane, Introduces):
            found.append(Finding(check=f"apps.{name}: provider", detail=await lane.introduce()))
    except (CredentialError, InvalidConfiguration) as error:
        return [problem(check, str(error), f"Mend it, or what [apps.{name}] says of it.")]
    except CredentialUnavailable as error:
        return [problem(f"apps.{name}: provider", str(error), "See that this machine reaches it, or try again later.")]
    finally:
        await lane.aclose(0.0)
    return found


# -- APNs -------------------------------------------------------------------------------------------------------------


async def _check_apns(name: str, app: ApnsApp, offline: bool, clock: Now) -> list[Finding]:
    lane = ApnsLane(app, name, clock)
    try:
        access = lane.load()
        login = _check_certificate(name, app, clock()) if app.certificate_file else _describe_key(name, app)
    except (CredentialError, InvalidConfiguration) as error:
        return [
            problem(f"apps.{name}: credentials", str(error), f"Mend the files, or what [apps.{name}] says of them.")
        ]
    found = [login]
    if offline:
        return found
    authorization = await access.credentials.authorization() if access.credentials else None
    try:
        rendered = apns.render(MESSAGE, topic=app.topic, started_at=clock())
    except InvalidMessage as error:
        return [*found, problem(f"apps.{name}: topic", str(error), f"Give the bundle id as `apps.{name}.topic`.")]
    encode = lane.encoder(access, authorization, NAME, [NO_APNS_TOKEN])
    results, goaway = await _ask(access.endpoint, encode(rendered, [NO_APNS_TOKEN], None).burst)
    said = apns.decode_goaway(goaway) if not results.replies else None
    answer = said or _answer(results, apns.decode, clock())
    return [*found, *_judge(name, access.endpoint, results, answer, "BadDeviceToken", APNS_RULES, clock())]


def _describe_key(name: str, app: ApnsApp) -> Finding:
    return Finding(check=f"apps.{name}: key", detail=f"{app.key_file}, key {app.key_id} of team {app.team_id}")


def _check_certificate(name: str, app: ApnsApp, now: float) -> Finding:
    """Whether a certificate that loads is the right one, and will be for some time."""
    check, file = f"apps.{name}: certificate", app.certificate_file
    assert file is not None
    password = app.certificate_password_file.read_text().rstrip("\r\n") if app.certificate_password_file else None
    certificate = ApnsCertificate.load(file, key_path=app.certificate_key_file, password=password, now=now)
    day = datetime.fromtimestamp(certificate.expires_at, UTC).strftime("%Y-%m-%d")
    if certificate.topic not in (None, app.topic):
        return problem(
            check,
            f"{file} is for {certificate.topic}, and the app's topic is {app.topic}",
            f"Use the certificate of {app.topic}, or set `apps.{name}.topic` to {certificate.topic}.",
        )
    if certificate.expires_at - now < SOON:
        return warning(check, f"{file} expires on {day}", "Make a new one on Apple's page, and put it in its place.")
    return Finding(check=check, detail=f"{file}, valid until {day}")


# -- FCM --------------------------------------------------------------------------------------------------------------


async def _check_fcm(name: str, app: FcmApp, offline: bool, clock: Now) -> list[Finding]:
    check, lane = f"apps.{name}: credentials", FcmLane(app, name, clock)
    try:
        access = lane.load()
    except (CredentialError, InvalidConfiguration) as error:
        return [problem(check, str(error), f"Mend the file, or what [apps.{name}] says of it.")]
    tokens, found = access.credentials, list[Finding]()
    assert isinstance(tokens, FcmTokenSource)
    try:
        if offline:
            return [_describe_account(name, app, tokens)]
        authorization = await tokens.authorization()
        found.append(_describe_account(name, app, tokens))
        encode = lane.encoder(access, authorization, NAME, [NO_FCM_TOKEN])
    except (CredentialError, InvalidConfiguration) as error:
        return [*found, problem(check, str(error), f"Mend the account, or what [apps.{name}] says of it.")]
    except CredentialUnavailable as error:
        remedy = "See that this machine reaches the token server; a proxy for that is named by HTTPS_PROXY."
        return [*found, problem(check, str(error), remedy)]
    finally:
        access.close()
    burst = encode(fcm.render(MESSAGE, started_at=clock()), [NO_FCM_TOKEN], None).burst
    results, _ = await _ask(access.endpoint, burst)
    answer = _answer(results, fcm.decode, clock())
    return [*found, *_judge(name, access.endpoint, results, answer, "INVALID_ARGUMENT:token", FCM_RULES, clock())]


def _describe_account(name: str, app: FcmApp, tokens: FcmTokenSource) -> Finding:
    check = f"apps.{name}: credentials"
    source = str(app.service_account_file or "Google's application default credentials")
    own, project = tokens.project_id, app.project or tokens.project_id
    if project is None:
        return warning(check, f"{source} may not name a project", f"Give the project's id as `apps.{name}.project`.")
    if own is not None and own != project:
        return warning(
            check,
            f"{source} is of the project {own}, and sends to {project}",
            f"If that isn't meant so, remove `apps.{name}.project`; else grant the account its right to send there.",
        )
    return Finding(check=check, detail=f"{source}, project {project}")


# -- the provider -----------------------------------------------------------------------------------------------------


async def _ask(endpoint: Endpoint, burst: Burst) -> tuple[Results, bytes]:
    """What became of one request, and the last words of its connection."""
    async with Pool(endpoint, PoolOptions(max_connections=1, resends=1, patience=PATIENCE)) as pool:
        results = await pool.send(burst)
        return results, pool.goaway_debug


def _answer(results: Results, decode: Callable[..., Answer], now: float) -> Answer | None:
    """None where there was none."""
    if results.fates[0] != Fate.RESPONSE:
        return None
    reply = results.replies.get(0)
    return decode(reply.status, reply.headers, reply.body, now) if reply else decode(results.statuses[0], (), b"", now)


def _judge(
    name: str,
    endpoint: Endpoint,
    results: Results,
    answer: Answer | None,
    wanted: str,
    rules: Mapping[str, Rule],
    now: float,
) -> list[Finding]:
    """What the answer to a request for nobody says; `wanted` is the reason that finds fault with the address alone."""
    check = f"apps.{name}: provider"
    if answer is None:
        said = results.reasons.get(0) or "no answer"
        remedy = f"See that this machine reaches {endpoint} (firewall, `proxy`, `url` and `ca_file` of [apps.{name}])."
        return [problem(check, said if str(endpoint) in said else f"{endpoint}: {said}", remedy)]
    found = check_clock(name, reply.headers if (reply := results.replies.get(0)) else (), now)
    if answer.reason == wanted or answer.verdict is Verdict.ACCEPT:
        return [Finding(check=check, detail=f"{endpoint} answers, and takes the credentials"), *found]
    rule = rules.get(answer.reason)
    meaning = rule.meaning if rule else answer.detail or "Not a reason that is known here."
    detail = f"{endpoint} answers {answer.status or 'by hanging up'} {answer.reason}"
    if answer.verdict is Verdict.REFRESH:  # to a token that was made just now
        return [problem(check, f"{detail}: it calls a new token expired", MEND_CLOCK), *found]
    if answer.verdict in (Verdict.STOP, Verdict.FIX, Verdict.REJECT, Verdict.DROP):
        return [problem(check, detail, meaning), *found]
    return [warning(check, f"{detail}: {meaning}", "Try again in a few minutes."), *found]


def check_clock(name: str, headers: Sequence[Header], now: float) -> list[Finding]:
    """How far this clock is off, where the provider tells the time in its answer; `now` is this clock's."""
    value = header(headers, b"date")
    try:
        theirs = parsedate_to_datetime(value.decode("ascii")).timestamp() if value else None
    except ValueError:
        theirs = None
    if theirs is None:
        return []
    off = now - theirs
    detail = f"this machine's is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} the provider's"
    if abs(off) >= CLOCK_IS_WRONG:
        return [problem(f"apps.{name}: clock", detail, MEND_CLOCK)]
    if abs(off) >= CLOCKS_DIFFER:
        return [warning(f"apps.{name}: clock", detail, MEND_CLOCK)]
    return [Finding(check=f"apps.{name}: clock", detail="agrees with the provider's to the minute")]


def _check_secrecy(name: str, app: App) -> list[Finding]:
    """Secrets that every user of this machine can read."""
    files: list[Path | None] = [getattr(app, setting) for setting in app.secrets]
    return [
        warning(f"apps.{name}: {file.name}", f"everybody on this machine can read {file}", f"Run `chmod 600 {file}`.")
        for file in files
        if file is not None and file.exists() and file.stat().st_mode & 0o004
    ]
