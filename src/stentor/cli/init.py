"""`stentor init`: a commented `stentor.toml`, and the store's tables.

Rules: what is there is never overwritten unasked; the file is drawn from the models of `stentor.config`, so that it
knows every setting. In it a `#` before a setting switches it off; one with `##` excludes another that is there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer
import uvloop
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stentor import channels
from stentor.cli.operations import interactive
from stentor.config import APP, FILE, SECTIONS, AudienceConfig, Columns, Config, StoreConfig, load
from stentor.errors import InvalidConfiguration, StoreUnavailable, StoreUnusable
from stentor.settings import ALTERNATIVE, App, listed
from stentor.store.database import Database
from stentor.store.migrate import migrate

AUDIENCE, TARGET = "users", "team"
PLATFORMS = {"ios": "apns", "android": "fcm"}
"""What most apps' own tables call these channels."""
AT_ONCE, LATER = 5.0, 3600.0
"""Seconds for which the database is waited for: by somebody who begins, and where a machine or cluster is being
started. What a person must mend is waited for by neither."""
SIMULATED = {
    "apns": ("key_file", "key_id", "team_id"),
    "fcm": ("service_account_file", "project", "token_url"),
    "webpush": ("private_key_file", "subject", "allow_private_endpoints", "deletes_at"),
    "telegram": ("token_file",),
    "discord": ("token_file",),
    "webhook": ("target", "secret_file"),
}
"""Which of a simulator's facts its app's settings need, by channel."""
NEEDED = {
    "apns": ("topic", "key_file", "key_id", "team_id"),
    "fcm": ("service_account_file",),
    "webpush": ("private_key_file", "subject"),
    "telegram": ("token_file",),
    "discord": ("token_file",),
    "webhook": ("target", "secret_file"),
}
"""What somebody who begins sets of an app, by channel; of a channel that is not here, what is required."""
START_PATIENCE, START_LOOK = 10.0, 0.05
"""Seconds for which a simulator that is being started is waited for, and between two looks."""

INTRODUCTION = """\
# Stentor's settings. `stentor doctor` checks them; docs/configuration.md explains them.
#
# A setting behind a # is off; remove the # to switch it on. A setting behind ## is an alternative: use it only instead
# of another one. Relative paths start from the folder of this file. Environment variables override every setting; put
# __ between the parts of the name: STENTOR_STORE__URL, STENTOR_APPS__IOS__KEY_FILE.
"""
SHORT_INTRODUCTION = """\
# Stentor's settings. Replace the examples with your own values; `stentor doctor` says what is missing. Relative paths
# start from the folder of this file. docs/configuration.md lists all other settings, and so does the file that
# `stentor init` writes without --channels.
"""
ALL_OFF = """\
#
# The apps at the end send to simulators. A setting behind a # is off: remove the # of an app when you have its
# credentials, and of the audience when you have your table. Until then `stentor import` makes an audience, `registry`.
"""
NEXT_STEPS = """\
Next:
  1. Describe your apps and your audience in {file}
  2. stentor doctor          checks everything, and says what to fix
  3. stentor send --help     --dry-run renders and counts, --test-to sends to yourself
  4. stentor serve           opens the dashboard and the API, and sends what they start"""


def init(
    directory: Annotated[
        Path | None, typer.Argument(help="The folder for the file; made if missing. Default: the working directory.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    upgrade: Annotated[
        bool,
        typer.Option(
            "--upgrade", help="Only upgrade the store's tables to this version. The settings file stays as it is."
        ),
    ] = False,
    chosen: Annotated[
        str | None,
        typer.Option(
            "--channels", metavar="LIST", help="Write a short file with only what these channels need, e.g. apns,fcm."
        ),
    ] = None,
    simulator: Annotated[
        list[Path] | None,
        typer.Option(
            help="The output of a running `stentor simulate … --json`. Adds an app that sends to it. Repeatable."
        ),
    ] = None,
) -> None:
    """Write a commented stentor.toml, and make the tables in Stentor's own database.

    \b
    Examples:
      stentor init
      stentor init --channels apns,fcm
      stentor init rehearsal --simulator apns.json --simulator fcm.json
      stentor init --upgrade
    """
    file = directory / FILE if directory else Path(os.environ.get("STENTOR_CONFIG") or FILE)
    if not upgrade:
        simulators = _all_facts(simulator or ())
        text = render(simulators) if chosen is None else render_short(_channels(chosen), simulators)
        _write(file, text, force=force)
        typer.echo(f"Wrote {file}.")
    config = load(file)
    uvloop.run(_migrate(config, LATER if upgrade else AT_ONCE))
    typer.echo("The tables of the store are ready.")
    if not upgrade:
        typer.echo(NEXT_STEPS.format(file=file))


def offer_settings(file: Path | None) -> None:
    """If there are no settings yet and somebody sits at the terminal: ask whether to write some, with a database beside
    them.

    Args:
        file: what `--config` names.
    """
    wanted = file or Path(os.environ.get("STENTOR_CONFIG") or FILE)
    if wanted.exists() or not interactive():
        return
    typer.echo(f"There is no {wanted} yet.", err=True)
    if typer.confirm("Write one, with a database beside it, and go on?", default=True, err=True):
        _write(wanted, render(), force=False)
        typer.echo(f"Wrote {wanted}. Describe your apps and your audience in it when you have them.", err=True)


async def _migrate(config: Config, patience: float) -> None:
    database = Database.open(config.store.url, patience=min(patience, AT_ONCE), unhurried=True)
    give_up = time.monotonic() + patience
    told = False
    try:
        while True:
            try:
                await migrate(database)
                return
            except StoreUnusable:
                raise
            except StoreUnavailable as error:
                if time.monotonic() >= give_up:
                    raise
                if not told:
                    typer.echo(f"{error} Waiting for it; Ctrl-C gives up.", err=True)
                told = True
    finally:
        await database.aclose()


def _write(file: Path, content: str, *, force: bool) -> None:
    """For its owner's eyes only: a password may come to stand in it. All of it or nothing: what is there stays until
    the new one is whole."""
    real = file.resolve()
    new = real.with_name(f".{real.name}.{os.getpid()}")
    try:
        if not force and file.exists():
            raise InvalidConfiguration(
                f"{file} is there already; --upgrade leaves it and only makes the tables, --force overwrites it"
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
                opened.write(content)
            new.replace(real)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidConfiguration(f"{file} cannot be written: {error.strerror}") from None


# -- the file ---------------------------------------------------------------------------------------------------------


def render(simulators: Iterable[dict[str, Any]] = ()) -> str:
    """The content of a new file, with an app for each running simulator of which the facts are given."""
    parts = [INTRODUCTION]
    for title, model in SECTIONS:
        channel = model.model_fields["channel"].default if title == APP else None
        example = TARGET if title.startswith("reports.") else AUDIENCE
        name = title.replace("NAME", example if channel is None else channels.find(channel).example_app)
        parts.append("\n".join(_section(name, model)))
    parts += [_simulated(facts) for facts in simulators]
    return "\n".join(parts)


def render_short(names: Sequence[str], simulators: Iterable[dict[str, Any]] = ()) -> str:
    """The content of a short file: the store, an app for each of these channels, and their audience; all is on. With
    simulators their apps are on instead, so that the file can be used as it is."""
    simulated = [_simulated(facts) for facts in simulators]
    off = "#" if simulated else ""
    introduction = SHORT_INTRODUCTION + (ALL_OFF if simulated else "")
    parts = [introduction, "\n".join(_chosen("store", StoreConfig, {"url"}))]
    for name in names:
        channel = channels.find(name)
        needed = {"channel", *NEEDED.get(name, (each.name for each in settings(channel.app) if each.required))}
        parts.append("\n".join(_chosen(f"apps.{channel.example_app}", channel.app, needed, off)))
    said = {said: name for said, name in PLATFORMS.items() if name in names}
    one = len(names) == 1
    audience = {"url", "table", "channel"} if one else {"url", "table", *(["channels"] if said else [])}
    values = {"channel": names[0], "channels": said}
    parts.append("\n".join(_chosen(f"audiences.{AUDIENCE}", AudienceConfig, audience, off, **values)))
    columns = {"id", "address"} if one else {"id", "address", "channel"}
    parts.append("\n".join(_chosen(f"audiences.{AUDIENCE}.columns", Columns, columns, off)))
    return "\n".join([*parts, *simulated])


def _chosen(name: str, model: type[BaseModel], wanted: Collection[str], off: str = "", **values: Any) -> Iterator[str]:
    """A table with these settings alone, as examples or with these values; all behind `off`."""
    yield f"# {(model.__doc__ or '').splitlines()[0]}"
    yield f"{off}[{name}]"
    for setting in settings(model):
        if setting.name in wanted:
            yield f"# {setting.meaning}"
            value = toml(values[setting.name]) if setting.name in values else setting.example
            yield f"{off}{setting.name} = {value}"
    yield ""


def _channels(chosen: str) -> list[str]:
    """Raises: InvalidConfiguration: one of them is none, or there is none."""
    names = list(dict.fromkeys(name.strip() for name in chosen.split(",") if name.strip()))
    known = channels.names()
    for name in names or [chosen]:
        if name not in known:
            raise InvalidConfiguration(f"--channels: there is no channel {name!r}; there are {listed(known)}")
    return names


def _section(name: str, model: type[BaseModel]) -> Iterator[str]:
    off = "" if name == "store" else "#"
    yield f"# {(model.__doc__ or '').splitlines()[0]}"
    yield f"{off}[{name}]"
    for setting in settings(model):
        standard = " Required." if setting.required else f" Default: {setting.default}." if setting.default else ""
        yield f"# {setting.meaning}{standard}"
        mark = "##" if setting.alternative else off or ("" if setting.default or setting.required else "#")
        yield f"{mark}{setting.name} = {setting.example}"
    yield ""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as people are told of it; its values as TOML writes them."""

    name: str
    meaning: str
    required: bool
    default: str
    """Empty where it says nothing."""
    example: str
    alternative: bool
    """Whether it excludes others of its table, which are the ones to begin with."""


def settings(model: type[BaseModel]) -> Iterator[Setting]:
    """Those of a table of the file, without the tables in it."""
    own = [name for name in model.model_fields if name in model.__annotations__]  # before those that all apps have
    for name in [*own, *(name for name in model.model_fields if name not in own)]:
        info = model.model_fields[name]
        default = info.get_default(call_default_factory=True)
        if isinstance(default, BaseModel) or _is_tables(info):
            continue
        told = issubclass(model, App) and name == "channel"  # it tells them apart, so the file must have it
        required = told or info.is_required()
        shown = "" if required or default in (None, (), {}) else toml(default)
        example = toml(info.examples[0] if info.examples else default)
        yield Setting(
            name,
            " ".join((info.description or "").split()),
            required,
            shown,
            example,
            info.json_schema_extra == ALTERNATIVE,
        )


def _is_tables(info: FieldInfo) -> bool:
    """Whether a setting is a table of tables, each with a name that the user chooses."""
    kinds = get_args(info.annotation)
    return get_origin(info.annotation) is dict and isinstance(kinds[1], type) and issubclass(kinds[1], BaseModel)


def toml(value: Any) -> str:
    """A setting's value as TOML writes it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


# -- simulators -------------------------------------------------------------------------------------------------------


def _all_facts(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Those of each simulator. Raises: InvalidConfiguration: a file isn't of one, or two are of the same provider."""
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        facts = _read_facts(path)
        if facts["provider"] in found:
            raise InvalidConfiguration(
                f"--simulator {path} is the second of {facts['provider']}, and both apps would have one name; leave one"
                " out"
            )
        found[facts["provider"]] = facts
    return list(found.values())


def _read_facts(path: Path) -> dict[str, Any]:
    """The first line of what `stentor simulate … --json` printed; one that was only just started needs a moment."""
    try:
        begun = time.monotonic()
        while not (text := path.read_text("utf-8-sig")) and time.monotonic() - begun < START_PATIENCE:
            time.sleep(START_LOOK)
        facts = json.loads(text.partition("\n")[0])
    except OSError as error:
        raise InvalidConfiguration(f"--simulator {path} cannot be read: {error.strerror}") from None
    except ValueError:
        facts = None
    if not isinstance(facts, dict) or facts.get("provider") not in channels.BUILT_IN:
        raise InvalidConfiguration(
            f"--simulator {path} isn't what a simulator prints; make it with `stentor simulate apns --json > {path} &`"
        )
    if facts.get("mode") != "strict":
        raise InvalidConfiguration(f"--simulator {path} is of a fast simulator; run it with `--mode strict`")
    return facts


def _simulated(facts: dict[str, Any]) -> str:
    """An app that sends to this simulator."""
    lines = (f"{name} = {toml(value)}" for name, value in simulated(facts).items())
    return "\n".join([f"# A simulator: {facts['url']}", f"[apps.simulated-{facts['provider']}]", *lines, ""])


def simulated(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an app that sends to the simulator that says this of itself."""
    channel = facts["provider"]
    settings: dict[str, Any] = {"channel": channel}
    if channel == "apns":
        settings["topic"] = "com.example.app"
    settings |= {name: facts[name] for name in SIMULATED[channel]}
    if channel != "webpush":  # whose subscriptions say where they are
        settings["url"] = facts["url"]
    return {**settings, "ca_file": facts["ca_file"]}
