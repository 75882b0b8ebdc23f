"""All settings, as one frozen tree, checked once. Stages receive their own slice, never the whole.

They come from `stentor.toml`, overridden by variables named `STENTOR_` and the path to the setting with `__` between
its parts, e.g. `STENTOR_STORE__URL`. Rules: an unknown setting is an error that names the nearest known one; relative
paths count from the folder of the file; secrets are paths to files, or part of a URL, which is never shown.
What a setting means is said once, in the docstring under it: `stentor init` and docs/configuration.md show those.
The tables of apps are their channels' (`channels.py`).
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from stentor import channels
from stentor.caps import DAY, Cap, read_cap, read_caps
from stentor.errors import InvalidConfiguration
from stentor.settings import (
    ALTERNATIVE,
    Address,
    App,
    BaseUrl,
    DatabaseUrl,
    File,
    IssuerUrl,
    LinkTemplate,
    Network,
    QueueUrl,
    Section,
    TokenUrl,
    listed,
    split,
)

REGISTRY = "registry"
"""The audience that is Stentor's own table of installations."""
FILE = "stentor.toml"
PREFIX = "STENTOR_"
APP = "apps.NAME"
"""The tables of apps, one for each channel."""

_NO_SETTING = re.compile(
    r"STENTOR_(CONFIG|DEBUG|URL|KEY|(TEST|FUZZ|SOAK|KILL)_\w+"
    r"|(\w+_)?SERVICE_(HOST|PORT\w*)|(\w+_)?PORT(_\d+_(TCP|UDP)\w*)?)"  # Kubernetes', for a service named stentor
)
"""Variables that begin like settings and are none."""
_NAME = re.compile(r"[A-Za-z0-9]+([_-][A-Za-z0-9]+)*")


class StoreConfig(Section):
    """Stentor's own database."""

    url: DatabaseUrl = Field(default="sqlite:///stentor.db", repr=False)
    """The database: `sqlite:///path` or `postgresql://user:password@host/database`."""
    keep_days: float | None = Field(default=None, ge=1, examples=[90])
    """How many days a campaign is kept after its end, and how many days the log of who did what goes back. Schedulers
    delete what is older. Left out: keep for ever."""


class QueueConfig(Section):
    """The queue between planners, senders and recorders."""

    url: QueueUrl | None = Field(
        default=None, repr=False, examples=["nats://a.example.com:4222,nats://b.example.com:4222"]
    )
    """`nats://` or `tls://user:password@host:4222`. Commas separate several servers. Left out: use the store."""
    name: str = Field(default="stentor", pattern=r"^[A-Za-z0-9]+([_-][A-Za-z0-9]+)*$")
    """The names of the queue's streams begin with this, so that several Stentors can share one NATS."""
    replicas: int = Field(default=1, ge=1, le=5)
    """On how many servers NATS stores each stream. Use 3 in a cluster."""
    credentials_file: File | None = Field(default=None, examples=["stentor.creds"])
    """A NATS credentials file (`.creds`)."""
    ca_file: File | None = Field(default=None, examples=["nats-ca.pem"])
    """A PEM file with the certificate authorities to trust, instead of the system's."""
    certificate_file: File | None = Field(default=None, examples=["nats-client.pem"])
    """A PEM file with a client certificate, if NATS asks for one."""
    certificate_key_file: File | None = Field(default=None, examples=["nats-client.key"])
    """A PEM file with the certificate's key, if the key isn't in the certificate's file."""


def _known_channel(name: str) -> str:
    if name in channels.BUILT_IN or name in channels.names():
        return name
    near = get_close_matches(name, channels.names(), 1)
    raise ValueError(
        f"is {name!r}, which is not a channel; "
        + (f"did you mean {near[0]!r}?" if near else f"there are {listed(channels.names())}")
    )


ChannelName = Annotated[str, AfterValidator(_known_channel)]


class _ByChannel:
    """Which channel's table an app's is, by its `channel`."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)

    def __get_pydantic_core_schema__(self, _source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices = {name: handler(channels.find(name).app) for name in self._names}
        return core_schema.tagged_union_schema(choices, discriminator="channel")


class Columns(Section):
    """Which column of an audience holds what."""

    id: str = "id"
    """The column with the key. It must be unique, never NULL, and of a type that can be sorted."""
    address: str = "token"
    """The column with the device token: text, a number, a UUID, a browser's subscription as JSON, or bytes."""
    channel: str | None = Field(default=None, examples=["platform"])
    """The column with the channel. Left out: all installations are on the audience's `channel`."""
    app: str | None = Field(default=None, examples=["app"])
    """The column with the app, by its name in this file."""
    language: str | None = Field(default=None, examples=["language"])
    """The column with the language, e.g. `de` or `pt-BR`."""
    time_zone: str | None = Field(default=None, examples=["time_zone"])
    """The column with the time zone, e.g. `Europe/Berlin`."""
    registered_at: str | None = Field(default=None, examples=["updated_at"])
    """The column that says when the address was last registered: epoch seconds, a timestamp, a date, or one of these as
    text."""
    attributes: Annotated[tuple[str, ...], BeforeValidator(split)] = Field(
        default=(), examples=[["first_name", "plan"]]
    )
    """Further columns, for templates and filters."""


class AudienceConfig(Section):
    """A table or query in your app's own database."""

    url: DatabaseUrl | None = Field(default=None, repr=False, examples=["postgresql://reader:password@localhost/app"])
    """The database, written like `store.url`. Left out: the store's database."""
    table: str | None = Field(default=None, examples=["devices"])
    """The table: `table` or `schema.table`. Give either `table` or `query`."""
    query: str | None = Field(
        default=None,
        examples=["SELECT d.* FROM devices d JOIN users u ON u.id = d.user_id WHERE u.active"],
        json_schema_extra=ALTERNATIVE,
    )
    """A SELECT that returns the columns, without ORDER BY."""
    where: str | None = Field(default=None, examples=["deleted_at IS NULL"])
    """An SQL condition. Only installations that meet it are read."""
    channel: ChannelName | None = Field(default=None, examples=["apns"], json_schema_extra=ALTERNATIVE)
    """The channel of all installations, if no column holds it."""
    app: str | None = Field(default=None, examples=["ios"], json_schema_extra=ALTERNATIVE)
    """The app of all installations, if no column holds it."""
    channels: dict[str, ChannelName] = Field(default_factory=dict, examples=[{"ios": "apns", "android": "fcm"}])
    """Translates the values in the channel column: each value, and the channel it stands for."""
    columns: Columns = Field(default_factory=Columns)
    """Which column holds what."""
    connections: int = Field(default=2, ge=1, le=100)
    """The maximum number of connections to the database."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.table is None) == (self.query is None):
            given = "neither `table` nor `query`" if self.table is None else "both `table` and `query`"
            raise ValueError(f"has {given}; give one of them")
        if (self.channel is None) == (self.columns.channel is None):
            both, neither = "both `channel` and `columns.channel`", "neither `channel` nor `columns.channel`"
            raise ValueError(
                f"has {neither if self.channel is None else both}; name the one channel of all its"
                " installations, or the column that holds each installation's channel"
            )
        if self.channels and self.columns.channel is None:
            raise ValueError("has `channels` but no `columns.channel`; name the column whose values they translate")
        if self.app is not None and self.columns.app is not None:
            raise ValueError(
                "has both `app` and `columns.app`; name the one app of all its installations, or the column"
                " that holds each installation's app"
            )
        if self.app is not None and self.channel is None:
            raise ValueError("has `app` but no `channel`; an app belongs to one channel, so name that as well")
        return self


class SendingConfig(Section):
    """How campaigns are planned and sent."""

    senders: int = Field(default=0, ge=0, le=256)
    """How many sender processes to run. 0: one per CPU core."""
    page: int = Field(default=10_000, ge=1, le=100_000)
    """How many installations are read at a time."""
    batch: int = Field(default=1000, ge=1, le=10_000)
    """The maximum number of recipients in a batch."""
    ranges: int = Field(default=4, ge=1, le=64)
    """How many key ranges of an audience are planned in parallel."""
    depth: int = Field(default=128, ge=2, le=10_000)
    """How many batches a lane's queue may hold. If it is full, planning waits."""
    lease: float = Field(default=30.0, ge=1.0)
    """If a sender crashes, another sender takes its batches after this many seconds."""
    give_up_after: float = Field(default=4 * 3600.0, gt=0)
    """Stentor stops trying a recipient after this many seconds. They count from the first failed try, whatever the
    message's lifetime. If the message has no lifetime, they count from the campaign's start."""
    longest_backoff: float = Field(default=900.0, gt=0)
    """The longest wait between two tries, in seconds. Stentor waits longer only if a provider asks for it."""
    deliveries: int = Field(default=5, ge=1)
    """How many times a batch may crash its sender before the batch is put aside."""
    stop_within: float = Field(default=10.0, gt=0)
    """When a sender is told to stop, it finishes or returns its batches within this many seconds."""


def _cap(said: str) -> str:
    return str(read_cap(said))


class CareConfig(Section):
    """How often people are sent to. docs/care.md says how it is counted."""

    caps: Annotated[tuple[Annotated[str, AfterValidator(_cap)], ...], BeforeValidator(split)] = Field(
        default=(), examples=[["3 in 24h", "1 a day of news"]]
    )
    """How many messages of campaigns an installation gets at most: `3 in 24h` in any 24 hours, `1 a day` or `5 a week`
    in a calendar day or week of its time zone, `1 a day of news` of one category. All caps must hold."""

    @property
    def read(self) -> tuple[Cap, ...]:
        """The caps."""
        return read_caps(self.caps)


LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]


class LoggingConfig(Section):
    """What roles log to stderr."""

    level: LogLevel | None = Field(default=None, examples=["info"])
    """`debug`, `info`, `warning` or `error`. Left out: `info` for `serve` and `worker`; no log for other commands."""
    format: LogFormat = "text"
    """`text` writes one line per record; `json` writes one JSON object per line."""


class ApiConfig(Section):
    """The REST API and the dashboard, which `stentor serve` and `stentor worker api` open."""

    enabled: bool = True
    """Whether `stentor serve` opens them."""
    listen: Address = "127.0.0.1:8383"
    """Where they listen: `HOST:PORT`. Left out: on this machine only, and nowhere if another program has the port."""
    public_url: BaseUrl | None = Field(default=None, examples=["https://push.example.com"])
    """Where people reach the dashboard. Links in reports, one-time links, and the way back from an identity provider
    begin with it."""
    certificate_file: File | None = Field(default=None, examples=["push.example.com.pem"])
    """A PEM file with the certificate of this server and the ones it rests on. With it, the API speaks https."""
    certificate_key_file: File | None = Field(default=None, examples=["push.example.com.key"])
    """A PEM file with the certificate's key, if the key isn't in the certificate's file."""
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(split)] = Field(
        default=(), examples=[["10.0.0.7", "10.1.0.0/24"]]
    )
    """The addresses or networks of reverse proxies that speak https for the API. Their `X-Forwarded-*` headers are
    believed."""
    insecure: bool = False
    """Listen beyond this machine without https or a proxy. Whoever is on the way can read keys and addresses."""
    rate: float = Field(default=100.0, gt=0)
    """How many requests per second each API key may make to one process."""
    confirm_starts: bool = False
    """Whether a program must pass a preview's `confirmation`, or `expect_recipients`, to start a campaign."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.certificate_key_file is not None and self.certificate_file is None:
            raise ValueError("has `certificate_key_file` but no `certificate_file`; name the certificate as well")
        if not (self.is_local or self.certificate_file or self.trusted_proxies or self.insecure):
            raise ValueError(
                f"would listen on {self.listen}, where others on the network can read everything; set"
                " `certificate_file`, or `trusted_proxies` if a proxy speaks https for it, or `insecure = true`"
            )
        return self

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        host = self.listen.rpartition(":")[0].strip("[]")
        return host in ("localhost", "::1") or host.startswith("127.")

    @property
    def is_https(self) -> bool:
        """Whether people reach it over https."""
        return (self.public_url or "").startswith("https:") or self.certificate_file is not None

    @property
    def address(self) -> str | None:
        """Where people reach the dashboard, as an address without a slash at its end. None: that isn't known, as it
        listens on a port that the system chooses, or beyond this machine without a `public_url`."""
        if self.public_url is not None or not self.is_local or self.listen.endswith(":0"):
            return self.public_url
        return f"{self.scheme}://{self.listen}"

    @property
    def scheme(self) -> str:
        """What the API speaks."""
        return "https" if self.certificate_file else "http"


Role = Literal["view", "write", "send", "admin"]


class OidcConfig(Section):
    """Signing in to the dashboard by OpenID Connect, at your identity provider."""

    issuer: IssuerUrl | None = Field(default=None, examples=["https://login.example.com/realms/company"])
    """The provider's address, below which `/.well-known/openid-configuration` is. Left out: people sign in with a
    password."""
    client_id: str | None = Field(default=None, min_length=1, examples=["stentor"])
    """The id under which Stentor is registered with the provider. Register `/sign-in/callback` below
    `api.public_url`."""
    client_secret_file: File | None = Field(default=None, examples=["oidc-secret.txt"])
    """A file with the client's secret. Left out: the client is public, and only PKCE protects the exchange."""
    scopes: Annotated[tuple[str, ...], BeforeValidator(split)] = ("openid", "profile", "email")
    """What the provider is asked for. Some providers need one more, such as `groups`, to tell the role claim."""
    name_claim: str = Field(default="preferred_username", min_length=1)
    """The claim of the ID token that becomes the user's name here."""
    role_claim: str = Field(default="groups", min_length=1)
    """The claim of the ID token that decides the role: a text or a list. Dots lead into objects, as in
    `realm_access.roles`."""
    roles: dict[str, Role] = Field(default_factory=dict, examples=[{"push-editors": "send", "push-admins": "admin"}])
    """Values of that claim, and the role each one gives: the highest counts. Users without any of them are refused."""
    ca_file: File | None = Field(default=None, examples=["company-ca.pem"])
    """A PEM file with the certificate authorities to trust, instead of the system's."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.issuer is not None and (self.client_id is None or not self.roles):
            raise ValueError("has an `issuer`; `client_id` and `roles` must be given as well")
        if "openid" not in self.scopes:
            raise ValueError("needs `openid` among its `scopes`")
        return self


class AccessConfig(Section):
    """Who may use the API and the dashboard. Keys and users are made with `stentor key` and `stentor user`."""

    session_idle: float = Field(default=8 * 3600.0, ge=60.0)
    """A session ends after this many seconds without a request."""
    session_lasts: float = Field(default=7 * 86_400.0, ge=60.0, le=30 * 86_400.0)
    """A session ends after this many seconds, however much it is used."""
    oidc: OidcConfig = Field(default_factory=OidcConfig)
    """Signing in at an OpenID provider."""


ReportedEvent = Literal["completed", "failed", "cancelled", "paused", "stalled", "lane_stopped"]
REPORTED: tuple[ReportedEvent, ...] = get_args(ReportedEvent)


class ReportTarget(Section):
    """A place that reports go to: a chat, a mailbox, or a program of yours."""

    url: str | None = Field(default=None, repr=False, min_length=1, examples=["slack://TOKEN_A/TOKEN_B/TOKEN_C"])
    """An Apprise URL: Slack, Discord, Telegram, mail and many more. It holds a secret, so `url_file` is better."""
    url_file: File | None = Field(default=None, examples=["slack-url.txt"], json_schema_extra=ALTERNATIVE)
    """A file with one Apprise URL. It is read before each report."""
    webhook: TokenUrl | None = Field(
        default=None, repr=False, examples=["https://example.com/stentor"], json_schema_extra=ALTERNATIVE
    )
    """The https URL of a program of yours that gets reports as signed JSON."""
    secret_file: File | None = Field(default=None, examples=["report-secret.txt"], json_schema_extra=ALTERNATIVE)
    """A file with the webhook's signing secret, `whsec_…`. While you change it, put the next one on a second line."""
    ca_file: File | None = Field(default=None, examples=["our-ca.pem"], json_schema_extra=ALTERNATIVE)
    """A PEM file with the certificate authorities to trust for the webhook, instead of the system's."""
    allow_private: bool = Field(default=False, json_schema_extra=ALTERNATIVE)
    """Let the webhook be in a private network."""
    events: Annotated[tuple[ReportedEvent, ...], BeforeValidator(split)] = Field(
        default=REPORTED, min_length=1, examples=[["completed", "failed"]]
    )
    """What is reported there. Left out: everything."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [name for name in ("url", "url_file", "webhook") if getattr(self, name) is not None]
        if len(given) != 1:
            found = listed([f"`{name}`" for name in given]) if given else "none of `url`, `url_file` and `webhook`"
            raise ValueError(f"has {found}; give exactly one of `url`, `url_file` and `webhook`")
        if self.webhook is not None and self.secret_file is None:
            raise ValueError("has a `webhook` but no `secret_file`; name the file with the secret that signs reports")
        if self.webhook is None:
            for name, unset in (("secret_file", None), ("ca_file", None), ("allow_private", False)):
                if getattr(self, name) != unset:
                    raise ValueError(f"has `{name}`, which is only for a `webhook`; leave it out")
        return self


class ReportsConfig(Section):
    """Reports and alarms: who is told how campaigns end, and when something stands still."""

    link: LinkTemplate | None = Field(default=None, examples=["https://push.example.com/campaigns/{id}"])
    """The address of a campaign's page, for the link in a report. `{id}` stands for the campaign's id. Left out: the
    page in the dashboard, if `api.public_url` is set."""
    stalled_after: float = Field(default=300.0, ge=10.0)
    """A running campaign counts as stalled if nothing has happened in it for this many seconds."""
    lane_stopped_after: float = Field(default=60.0, ge=1.0)
    """An alarm is raised if a lane can't send for this many seconds. It ends if the lane sends for as long again."""
    targets: dict[str, ReportTarget] = Field(default_factory=dict, examples=[{"team": {}}])
    """The places that reports go to, each in a table of its own: `[reports.targets.NAME]`."""


SECTIONS: tuple[tuple[str, type[Section]], ...] = (
    ("store", StoreConfig),
    ("queue", QueueConfig),
    *((APP, channels.find(name).app) for name in channels.BUILT_IN),
    ("audiences.NAME", AudienceConfig),
    ("audiences.NAME.columns", Columns),
    ("sending", SendingConfig),
    ("care", CareConfig),
    ("logging", LoggingConfig),
    ("api", ApiConfig),
    ("access", AccessConfig),
    ("access.oidc", OidcConfig),
    ("reports", ReportsConfig),
    ("reports.targets.NAME", ReportTarget),
)
"""Every table of the file, with what may stand in it; of the channels, Stentor's own."""


_NAMED = (("audiences",), ("reports", "targets"))
"""Tables of tables whose names people choose."""
_BY_TITLE = {title: model for title, model in SECTIONS if title != APP}


class Config(Section):
    """Everything that can be set."""

    store: StoreConfig = Field(default_factory=StoreConfig)
    queue: QueueConfig = Field(default_factory=QueueConfig)
    apps: dict[str, Annotated[App, _ByChannel(channels.BUILT_IN)]] = Field(default_factory=dict)
    audiences: dict[str, AudienceConfig] = Field(default_factory=dict)
    sending: SendingConfig = Field(default_factory=SendingConfig)
    care: CareConfig = Field(default_factory=CareConfig)
    logging: LoggingConfig = Field(default_factory=LoggingConfig)
    api: ApiConfig = Field(default_factory=ApiConfig)
    access: AccessConfig = Field(default_factory=AccessConfig)
    reports: ReportsConfig = Field(default_factory=ReportsConfig)

    @model_validator(mode="after")
    def _check(self) -> Self:
        named = (("apps", self.apps), ("audiences", self.audiences), ("reports.targets", self.reports.targets))
        for section, names in named:
            for name in names:
                if not _NAME.fullmatch(name):
                    raise ValueError(
                        f"{section}: {name!r} is not a valid name; use letters, digits, single hyphens, underscores"
                    )
        if REGISTRY in self.audiences:
            raise ValueError(
                f"audiences.{REGISTRY}: this name is taken by Stentor's own table of installations; choose another"
            )
        for channel in {app.channel for app in self.apps.values()}:
            defaults = [name for name, app in self.apps.items() if app.channel == channel and app.default]
            if len(defaults) > 1:
                raise ValueError(
                    f"apps.{defaults[1]}.default: {defaults[0]} is the default for {channel} already; keep one"
                )
        for name, audience in self.audiences.items():
            self._check_app(name, audience)
        for cap in self.care.read:
            if self.store.keep_days is not None and cap.seconds > self.store.keep_days * DAY:
                raise ValueError(
                    f"care.caps: `{cap}` looks back further than `store.keep_days` = {self.store.keep_days:g}, after"
                    " which campaigns are deleted; raise that, or shorten the cap"
                )
        return self

    @property
    def reporting(self) -> ReportsConfig:
        """The settings of reports; a link that isn't set leads to the campaign's page in the dashboard, if its address
        is set."""
        if self.reports.link is not None or self.api.public_url is None:
            return self.reports
        return self.reports.model_copy(update={"link": f"{self.api.public_url}/campaigns/{{id}}"})

    def _check_app(self, name: str, audience: AudienceConfig) -> None:
        if audience.app is None:
            return
        app = self.apps.get(audience.app)
        if app is None or app.channel != audience.channel:
            problem = "there is no such app" if app is None else f"that app's channel is {app.channel}"
            fitting = [f"`{each}`" for each, other in self.apps.items() if other.channel == audience.channel]
            remedy = f"name {listed(fitting, 'or')}" if fitting else f"add an app with channel {audience.channel}"
            raise ValueError(f"audiences.{name}.app: is `{audience.app}`, but {problem}; {remedy}")


def load(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Config:
    """The settings of a file, with those of `environment` over them. All paths in them are absolute.

    Args:
        path: left out, `STENTOR_CONFIG`, or else `stentor.toml` in the working directory.

    Raises:
        InvalidConfiguration: names file (or variable) and setting, what is wrong and the remedy; never a secret.
    """
    file = (path or Path(environment.get("STENTOR_CONFIG") or FILE)).absolute()
    given = _read(file)
    variables = _override(given, environment)
    given.setdefault("store", {})  # so that its default, too, counts from the folder of the file
    try:
        return _model(given).model_validate(given, context={"folder": file.parent})
    except ValidationError as error:
        # What isn't known comes first: a name that is misspelt makes others seem to be missing.
        first, *others = sorted(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
        more = f" ({len(others)} more problem{'s' if len(others) > 1 else ''} after that.)" if others else ""
        raise InvalidConfiguration(_explain(first, given, file, variables) + more) from None


def lane_of(name: str, app: App) -> str:
    """The lane of the app of that name: `apns/ios`."""
    return f"{app.channel}/{name}"


def lanes(config: Config) -> dict[str, App]:
    """Each app by its lane."""
    return {lane_of(name, app): app for name, app in config.apps.items()}


def default_app(config: Config, channel: str) -> str | None:
    """The name of the app that serves a channel's installations that name none: its only one, or its default one."""
    names = [name for name, app in config.apps.items() if app.channel == channel]
    if len(names) == 1:
        return names[0]
    return next((name for name in names if config.apps[name].default), None)


def dump(config: Config) -> bytes:
    """The settings with their secrets, for the standard input of a process of ours."""
    return config.model_dump_json().encode()


def restore(dumped: bytes) -> Config:
    """What `dump` made `dumped` of."""
    given = json.loads(dumped)
    return _model(given).model_validate(given)


def _model(given: Mapping[str, Any]) -> type[Config]:
    """`Config`, with the tables of those channels besides that the apps in `given` are on."""
    apps = given.get("apps")
    tables = [app for app in apps.values() if isinstance(app, dict)] if isinstance(apps, dict) else []
    others = {str(app.get("channel")) for app in tables} - set(channels.BUILT_IN)
    added = sorted(others & set(channels.names())) if others else []
    return _extended(tuple(added)) if added else Config


@cache
def _extended(added: tuple[str, ...]) -> type[Config]:
    apps = Annotated[App, _ByChannel([*channels.BUILT_IN, *added])]
    return create_model("Config", __base__=Config, apps=(dict[str, apps], Field(default_factory=dict)))


# -- reading ----------------------------------------------------------------------------------------------------------


_TOML_HINTS = MappingProxyType(
    {
        "Invalid value": "put text in quotes",
        "twice": "a table may appear only once in the file: put all its settings under one heading",
        "overwrite": "a setting may appear only once in its table: remove the other one",
    }
)
"""What to do about a mistake, by words in what the TOML reader says of it."""


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise InvalidConfiguration(
            f"there is no {file}; `stentor init` writes one, and --config or STENTOR_CONFIG names one elsewhere"
        ) from None
    except OSError as error:
        raise InvalidConfiguration(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidConfiguration(f"{file} is not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        hints = [hint for sign, hint in _TOML_HINTS.items() if sign in str(error)]
        raise InvalidConfiguration("; ".join([f"{file} is not TOML: {error}", *hints])) from None


SettingPath = tuple[str, ...]
"""Where a setting stands: ("store", "url")."""


def _override(given: dict[str, Any], environment: Mapping[str, str]) -> dict[SettingPath, str]:
    """Put the settings of `environment` over those given; which setting comes from which variable."""
    variables: dict[SettingPath, str] = {}
    for variable, value in sorted(environment.items()):
        if not variable.startswith(PREFIX) or _NO_SETTING.fullmatch(variable) or not value:
            continue
        table, path = given, []
        *outer, last = variable.removeprefix(PREFIX).split("__")
        for part in outer:
            path.append(_known_key(table, part))
            table = table.setdefault(path[-1], {})
            if not isinstance(table, dict):
                break  # a value stands where a table must: that is what will be complained about
        else:
            path.append(_known_key(table, last))
            table[path[-1]] = value
            variables[tuple(path)] = variable
    return variables


def _known_key(table: Mapping[str, Any], part: str) -> str:
    """The table's key that this part of a variable means: variables have no case and no hyphens."""
    plain = part.lower()
    return next((key for key in table if key.lower().replace("-", "_") == plain), plain)


# -- explaining -------------------------------------------------------------------------------------------------------

_SECRET = frozenset({"url", "proxy", "webhook"})
_TABLES = frozenset({"model_type", "model_attributes_type", "dict_type"})
_WANTED = {
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_parsing", "float_type", "finite_number"), "a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "true or false"),
    **dict.fromkeys(("string_type", "path_type"), "a text, in quotes"),
    "string_too_short": "given, and not empty",
    "tuple_type": 'a list of texts, as ["a", "b"]',
}


def _explain(error: ErrorDetails, given: Mapping[str, Any], file: Path, variables: Mapping[SettingPath, str]) -> str:
    """One paragraph: where it stands, what is wrong, what to do."""
    path = _path(error)
    kind, value, wanted = error["type"], error["input"], error["msg"]
    if kind.startswith("union_tag"):
        path, wanted = (*path, "channel"), listed([f'"{name}"' for name in channels.names()], "or")
        value = given[path[0]][path[1]].get("channel")
    variable = variables.get(path)
    where = f"{variable}:" if variable else f"{file}: {'.'.join(path)}:" if path else f"{file}:"
    if kind == "extra_forbidden":
        what = "table" if isinstance(value, dict) else "setting"
        return f"{where} there is no such {what}; {_nearest(path, given, variable)}"
    if kind == "value_error":
        return f"{where} {wanted.removeprefix('Value error, ')}"
    if kind == "missing":
        meaning = _section(path[:-1], given).model_fields[path[-1]].description or ""
        return f"{where} is missing; it is {meaning[:1].lower()}{meaning[1:].rstrip('.')}"
    if kind in _TABLES and variable:
        return f"{where} is a whole table; add two underscores and the setting, as in STENTOR_STORE__URL"
    if kind in _TABLES:
        return f"{where} must be a table; write [{'.'.join(path)}] on a line of its own and its settings below"
    wanted = _WANTED.get(kind) or wanted.removeprefix("Input should ").removeprefix("be ")
    shown = "" if path[-1] in _SECRET or isinstance(value, dict | list) else f"is {_shown(value)}; it "
    return f"{where} {shown}must be {wanted[0].lower()}{wanted[1:]}"


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)


def _path(error: ErrorDetails) -> SettingPath:
    """Where the error stands, without the channel that pydantic puts behind an app's name."""
    path = [str(part) for part in error["loc"]]
    if path[:1] == ["apps"]:
        del path[2:3]
    return tuple(path)


def _section(path: SettingPath, given: Mapping[str, Any]) -> type[Section]:
    """What stands at a path of tables."""
    if path[:1] == ("apps",) and len(path) == 2:
        return channels.find(given["apps"][path[1]].get("channel")).app
    title = ".".join("NAME" if path[:number] in _NAMED else name for number, name in enumerate(path))
    return _BY_TITLE.get(title, Config)


def _nearest(path: SettingPath, given: Mapping[str, Any], variable: str | None) -> str:
    """What was perhaps meant by an unknown setting."""
    if variable:
        known = [PREFIX + "__".join(each).upper().replace("-", "_") for each in _settings(given)]
        near = get_close_matches(variable, known, 1, 0.75)
        return f"did you mean {near[0]}?" if near else "put two underscores between its parts: STENTOR_STORE__URL"
    here = list(_section(path[:-1], given).model_fields)
    if near := get_close_matches(path[-1], here, 1):
        return f"did you mean {_shown_as(near[0], path, given)}?"
    if others := [f"[{title}] ({model.__doc__})" for title, model in SECTIONS if path[-1] in model.model_fields]:
        return f"`{path[-1]}` belongs under {listed(others, 'or')}"
    return f"there are {listed([f'`{name}`' for name in here])}"


def _shown_as(name: str, path: SettingPath, given: Mapping[str, Any]) -> str:
    """What was meant by the last part of a path, as it is written: the heading of a table, if one stands there."""
    table: Any = given
    for part in path:
        table = table[part]
    if not isinstance(table, dict):
        return f"`{name}`"
    inner = [each for each, value in table.items() if isinstance(value, dict)][:1]
    return f"[{'.'.join([*path[:-1], name, *inner])}]"


def _settings(given: Mapping[str, Any]) -> Iterator[SettingPath]:
    """Every setting that may be set, of the apps and audiences that are given."""
    for title, model in SECTIONS:
        yield from ((*path, field) for path in _tables(title.split("."), given) for field in model.model_fields)


def _tables(title: Sequence[str], given: object) -> Iterator[SettingPath]:
    """The paths of all tables of a title, with the names that are given for NAME."""
    if not title:
        yield ()
        return
    first, *rest = title
    tables = given if isinstance(given, dict) else {}
    for name in tables if first == "NAME" else [first]:
        yield from ((name, *path) for path in _tables(rest, tables.get(name)))
