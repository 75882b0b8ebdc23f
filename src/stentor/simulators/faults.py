"""What can be made to go wrong: the menu, as frozen data, read from a JSON or TOML file.

A simulator without faults is a healthy provider: everything here is off unless asked for. `menu.toml` beside this file
switches most of it on, at rates that a real campaign could meet. Every knob is described in `docs/simulators.md`.

Two kinds of chance: what befalls a *device* (dead, malformed, throttled, slow) is drawn from its address, so a rerun
gives it the same fate; what befalls a *connection or request* (resets, drops, GOAWAY) follows counters, so that a
message that is sent again isn't doomed to the same accident for ever.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import msgspec

from stentor.errors import InvalidConfiguration

GoAwayForm = Literal["graceful", "lower", "json", "text", "zero"]
GoAwayThen = Literal["answer", "hang", "close"]
MalformedForm = Literal["html502", "empty", "truncated", "unknown_reason", "missing_id"]
ScriptedAct = Literal[
    "goaway",
    "reset_refused",
    "reset_internal",
    "reset_cancel",
    "drop_after_accept",
    "drop_before_body",
    "hang",
    "limit_drop",
    "hold_windows",
    "malformed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long answers take: log-normal, with a share of very late ones. Drawn from the address."""

    median_s: float = 0.0
    p99_s: float = 0.0
    tail_share: float = 0.0
    tail_min_s: float = 15.0
    tail_max_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimit:
    """SETTINGS_MAX_CONCURRENT_STREAMS, and its sudden drops."""

    normal: int = 0
    over: Literal["goaway", "refuse"] = "goaway"
    before_ack: Literal["take", "refuse"] = "take"
    drop_every: int = 0
    drop_to: int = 1
    drop_for_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GoAway:
    """GOAWAY in the midst of traffic, every so many requests."""

    every: int = 0
    forms: tuple[GoAwayForm, ...] = get_args(GoAwayForm)
    then: tuple[GoAwayThen, ...] = ("answer",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """RST_STREAM instead of an answer: the share of requests for each error code."""

    refused: float = 0.0
    internal: float = 0.0
    cancel: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """TCP connections cut: every so many requests, or connections."""

    after_accept_every: int = 0
    before_body_every: int = 0
    during_tls_every: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowReader:
    """A server that takes in requests slowly."""

    hold_windows_s: float = 0.0
    initial_window: int = 65_535
    bytes_per_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """A time of 429: from `at_s` after the start for `for_s`, again every `every_s`."""

    at_s: float = 0.0
    for_s: float = 0.0
    every_s: float = 0.0
    share: float = 1.0
    scope: Literal["global", "token"] = "global"
    retry_after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """A time of 5xx: from `at_s` after the start for `for_s`, again every `every_s`."""

    at_s: float = 0.0
    for_s: float = 0.0
    every_s: float = 0.0
    share: float = 1.0
    status: Literal[500, 503] = 503
    retry_after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Credentials that expire early, are revoked, or are judged by a clock that is wrong."""

    expire_at_s: float = 0.0
    revoke_at_s: float = 0.0
    clock_skew_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """The share of devices with each fate, by a hash of the address."""

    unregistered: float = 0.0
    reregistered: float = 0.0
    malformed: float = 0.0
    wrong_app: float = 0.0
    throttled: float = 0.0
    throttled_for_s: float = 60.0
    third_party_auth: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """Answers that aren't what the documentation promises: a share of requests."""

    share: float = 0.0
    forms: tuple[MalformedForm, ...] = get_args(MalformedForm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """A door that is hard to come in by."""

    max_open: int = 0
    max_per_s: int = 0
    handshake_delay_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBudget:
    """APNs only: what a connection may err before its limit falls to 1, and then how much more until GOAWAY."""

    points: float = 100.0
    bad_device_token: float = 5.0
    other: float = 1.0
    refund: float = 0.1
    grace: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One act at one moment, for tests: when request number `after` (of all, from 1) has come."""

    after: int
    do: ScriptedAct
    form: GoAwayForm = "graceful"
    then: GoAwayThen = "answer"
    malformed: MalformedForm = "html502"


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    latency: Latency = Latency()
    stream_limit: StreamLimit = StreamLimit()
    goaway: GoAway = GoAway()
    reset: Reset = Reset()
    drop: Drop = Drop()
    slow_reader: SlowReader = SlowReader()
    storm: Storm = Storm()
    unavailable: Unavailable = Unavailable()
    credential: Credential = Credential()
    devices: Devices = Devices()
    malformed: Malformed = Malformed()
    connect: Connect = Connect()
    error_budget: ErrorBudget = ErrorBudget()
    script: tuple[Trigger, ...] = ()

    def __post_init__(self) -> None:
        for section, knob, value in knob_values(self):
            _check_value(f"{section}.{knob}", value)
        if self.latency.tail_min_s > self.latency.tail_max_s:
            raise ValueError("latency.tail_min_s is above latency.tail_max_s")
        if 0 < self.latency.p99_s < self.latency.median_s:
            raise ValueError("latency.p99_s is below latency.median_s")
        shares = self.devices
        total = shares.unregistered + shares.malformed + shares.wrong_app + shares.throttled + shares.third_party_auth
        if total > 1 or self.reset.refused + self.reset.internal + self.reset.cancel > 1:
            raise ValueError("the shares of devices, or of reset, add up to more than 1")


_SHARES = {
    *("share", "tail_share", "refused", "internal", "cancel", "unregistered", "reregistered"),
    *("malformed", "wrong_app", "throttled", "third_party_auth"),
}


def knob_values(faults: Faults) -> list[tuple[str, str, Any]]:
    """Every knob as (section, name, value), the script aside."""
    return [
        (section.name, knob.name, getattr(getattr(faults, section.name), knob.name))
        for section in fields(faults)
        if section.name != "script"
        for knob in fields(getattr(faults, section.name))
    ]


def _check_value(path: str, value: object) -> None:
    knob = path.rpartition(".")[2]
    if isinstance(value, (int, float)):
        if value < 0 and knob != "clock_skew_s":
            raise ValueError(f"{path} is negative")
        if knob in _SHARES and value > 1:
            raise ValueError(f"{path} is a share, so at most 1")
        if knob == "initial_window" and not 1 <= value < 2**31:
            raise ValueError(f"{path} is outside 1 to 2^31-1")
    if knob in ("forms", "then") and not value:
        raise ValueError(f"{path} is empty")


def parse_faults(tree: dict[str, Any], *, source: str = "faults") -> Faults:
    """Check a tree of plain values. An unknown key is an error that names the nearest known one."""
    _check_keys(tree, Faults, source)
    try:
        return msgspec.convert(tree, Faults)
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidConfiguration(f"{source}: {error}") from None


def load_faults(path: Path | str) -> Faults:
    """Read a JSON or TOML file; the word `menu` stands for the shipped one with most faults on."""
    file = Path(__file__).with_name("menu.toml") if str(path) == "menu" else Path(path)
    try:
        text = file.read_text("utf-8-sig")
    except OSError as error:
        raise InvalidConfiguration(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidConfiguration(f"{file} is not UTF-8 text; save it as such") from None
    try:
        tree = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise InvalidConfiguration(f"{file}: {error}") from None
    if not isinstance(tree, dict):
        raise InvalidConfiguration(f"{file}: a table of sections is wanted")
    return parse_faults(tree, source=str(file))


def _check_keys(tree: dict[str, Any], section: type, path: str) -> None:
    known = get_type_hints(section)
    for key, value in tree.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.3)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
            raise InvalidConfiguration(f"{path}: unknown key {key!r}{hint}")
        inner = Trigger if key == "script" else known[key]
        if isinstance(inner, type) and is_dataclass(inner):
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, dict):
                    _check_keys(one, inner, f"{path}: {key}")
