"""Settings: read from file and variables, checked, and explained to whoever has to mend them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from docs.render_configuration import page
from stentor.channels import BUILT_IN
from stentor.config import (
    SECTIONS,
    ApiConfig,
    Columns,
    Config,
    StoreConfig,
    default_app,
    dump,
    lane_of,
    lanes,
    load,
    restore,
)
from stentor.errors import InvalidConfiguration
from stentor.providers.apns.channel import ApnsApp
from stentor.providers.fcm.channel import FcmApp
from stentor.settings import listed, sqlite_path, sqlite_url

DOCS = Path(__file__).parents[2] / "docs"
PASSWORD = "hunter2secret"
APP = """
[apps.ios]
channel = "apns"
topic = "com.example.app"
key_file = "keys/AuthKey.p8"
key_id = "ABCDE12345"
team_id = "FGHIJ67890"
"""
ANDROID = '\n[apps.droid-1]\nchannel = "fcm"\n'
CHANNELS = listed([f'"{name}"' for name in BUILT_IN], "or")
AUDIENCE = '\n[audiences.users]\ntable = "devices"\nchannel = "apns"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def read(folder: Path, text: str, **variables: str) -> Config:
    file = folder / "stentor.toml"
    file.write_text(text)
    return load(file, variables)


def complaint(folder: Path, text: str, **variables: str) -> str:
    """What is said about it; every error is a line that names the file or a variable, and holds no password."""
    with pytest.raises(InvalidConfiguration) as raised:
        read(folder, text, **variables)
    said = str(raised.value)
    assert PASSWORD not in said
    assert "\n" not in said
    assert said.startswith((str(folder / "stentor.toml"), "STENTOR_"))
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__, "what pydantic says of it may show a secret"
    return said.removeprefix(f"{folder / 'stentor.toml'}").removeprefix(": ")


def test_an_empty_file_means_the_defaults(folder: Path) -> None:
    assert read(folder, "") == Config(store=StoreConfig(url=f"sqlite:///{folder}/stentor.db"))


def test_paths_count_from_the_folder_of_the_file(folder: Path) -> None:
    config = read(folder, '[store]\nurl = "sqlite:///data/s.db"\n' + APP + AUDIENCE + 'url = "sqlite:////abs/a.db"')
    assert config.store.url == f"sqlite:///{folder}/data/s.db"
    assert config.audiences["users"].url == "sqlite:////abs/a.db"
    ios = config.apps["ios"]
    assert isinstance(ios, ApnsApp)
    assert ios.key_file == folder / "keys" / "AuthKey.p8"


@pytest.mark.parametrize(
    "name",
    ["wh?at", "feature%2Ffoo", "100%", "a#b", "a b", "über", "q'\"uote", "{curly}", "line\nbreak", "a:b@c", "?x=1"],
)
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    beside = AUDIENCE + 'url = "sqlite:///app.db"'
    elsewhere = (AUDIENCE + f"url = {json.dumps(sqlite_url(folder / 'app.db'))}").replace("users", "others")
    config = read(folder, APP + beside + elsewhere)
    for known in (config, restore(dump(config))):
        assert sqlite_path(known.store.url) == str(folder / "stentor.db")
        urls = [audience.url for audience in known.audiences.values()]
        assert [sqlite_path(url or "") for url in urls] == [str(folder / "app.db")] * 2
        ios = known.apps["ios"]
        assert isinstance(ios, ApnsApp)
        assert ios.key_file == folder / "keys" / "AuthKey.p8"


def test_the_file_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "other.toml").write_text("[sending]\nbatch = 7")
    (folder / "stentor.toml").write_text("[sending]\nbatch = 8")
    monkeypatch.chdir(folder)
    assert load(None, {}).sending.batch == 8
    named = load(None, {"STENTOR_CONFIG": "sub/other.toml"})
    assert named.sending.batch == 7
    assert named.store.url == f"sqlite:///{folder}/sub/stentor.db"
    assert load(Path("stentor.toml"), {"STENTOR_CONFIG": "sub/other.toml"}).sending.batch == 8


def test_variables_override_the_file(folder: Path) -> None:
    config = read(
        folder,
        "[sending]\nbatch = 8\npage = 9" + APP + ANDROID,
        STENTOR_STORE__URL=f"postgresql://u:{PASSWORD}@h/d",
        STENTOR_SENDING__BATCH="10",
        STENTOR_APPS__IOS__KEY_FILE="other.p8",
        STENTOR_APPS__IOS__DEFAULT="true",
        STENTOR_APPS__DROID_1__PROJECT="p",
        STENTOR_APPS__NEW__CHANNEL="fcm",
        STENTOR_AUDIENCES__USERS__TABLE="devices",
        STENTOR_AUDIENCES__USERS__COLUMNS__CHANNEL="platform",
        STENTOR_AUDIENCES__USERS__COLUMNS__ATTRIBUTES="name, plan",
        STENTOR_AUDIENCES__USERS__CHANNELS__IOS="apns",
        STENTOR_SENDING__PAGE="",
    )
    assert config.store.url == f"postgresql://u:{PASSWORD}@h/d"
    assert (config.sending.batch, config.sending.page) == (10, 9)
    ios, droid = config.apps["ios"], config.apps["droid-1"]
    assert isinstance(ios, ApnsApp)
    assert isinstance(droid, FcmApp)
    assert (ios.key_file, ios.default, droid.project) == (folder / "other.p8", True, "p")
    assert set(config.apps) == {"ios", "droid-1", "new"}
    users = config.audiences["users"]
    assert users.columns == Columns(channel="platform", attributes=("name", "plan"))
    assert users.channels == {"ios": "apns"}


@pytest.mark.parametrize(
    "name",
    [
        "STENTOR_CONFIG",
        "STENTOR_DEBUG",
        "STENTOR_URL",
        "STENTOR_KEY",
        "STENTOR_FUZZ_CASES",
        "STENTOR_SOAK_PUSHES",
        "STENTOR_TEST_GO",
        "STENTOR_PORT",
        "STENTOR_SERVICE_HOST",
        "STENTOR_SERVICE_PORT_HTTP",
        "STENTOR_PORT_80_TCP_ADDR",
        "STENTORIAN_STORE",
    ],
)
def test_a_variable_that_is_no_setting_is_left_alone(folder: Path, name: str) -> None:
    assert read(folder, "", **{name: "x"}) == read(folder, "")


def test_no_repr_shows_a_password(folder: Path) -> None:
    url = f"postgresql://u:{PASSWORD}@h/d"
    proxied = APP + f'proxy = "http://u:{PASSWORD}@proxy:3128"' + ANDROID + f'proxy = "http://u:{PASSWORD}@proxy:3128"'
    config = read(folder, f'[store]\nurl = "{url}"' + proxied + AUDIENCE + f'url = "{url}"')
    assert PASSWORD in dump(config).decode()
    assert PASSWORD not in repr(config)
    with pytest.raises(ValidationError) as raised:
        StoreConfig(url=f"mysql://u:{PASSWORD}@h/d")
    assert PASSWORD not in str(raised.value)


def test_dump_and_restore(folder: Path) -> None:
    config = read(
        folder,
        f'[store]\nurl = "postgresql://u:{PASSWORD}@h/d"' + APP + ANDROID + AUDIENCE + 'columns.attributes = ["a"]',
    )
    assert restore(dump(config)) == config
    assert restore(dump(Config())) == Config()


def test_lanes_and_default_apps(folder: Path) -> None:
    config = read(folder, APP + ANDROID + '[apps.b]\nchannel = "fcm"\ndefault = true')
    assert list(lanes(config)) == ["apns/ios", "fcm/droid-1", "fcm/b"]
    assert lanes(config)["fcm/b"] is config.apps["b"]
    assert lane_of("ios", config.apps["ios"]) == "apns/ios"
    assert default_app(config, "apns") == "ios", "the only one"
    assert default_app(config, "fcm") == "b"
    assert default_app(read(folder, ANDROID + '[apps.b]\nchannel = "fcm"'), "fcm") is None
    assert default_app(Config(), "apns") is None


def test_a_missing_file_says_how_to_make_one(folder: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"there is no .*none\.toml; `stentor init` writes one"):
        load(folder / "none.toml", {})


def test_a_file_that_is_none(folder: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="cannot be read: Is a directory"):
        load(folder, {})
    (folder / "latin").write_bytes(b"# f\xfcr\n")
    with pytest.raises(InvalidConfiguration, match="is not UTF-8"):
        load(folder / "latin", {})


def test_a_file_may_begin_with_a_byte_order_mark(folder: Path) -> None:
    (folder / "marked").write_bytes('[store]\nurl = "sqlite:///grüße.db"\n'.encode("utf-8-sig"))
    assert load(folder / "marked", {}).store.url.endswith("grüße.db")


def with_app(old: str, new: str) -> str:
    assert old in APP
    return APP.replace(old, new)


TOPIC = 'topic = "com.example.app"'
KEY_ID = 'key_id = "ABCDE12345"'
FORMS = "sqlite:///path or postgresql://user:password@host/database"

WRONG = {
    "syntax": ("[store]\nurl = \n", "is not TOML: Invalid value (at line 2, column 7)"),
    "text without quotes": ("[store]\nurl = x", "(at line 2, column 7); put text in quotes"),
    "a table twice": ("[sending]\n[store]\n[sending]", "a table may appear only once in the file"),
    "a setting twice": ("[sending]\npage = 1\npage = 2", "a setting may appear only once in its table"),
    "unknown section": ("[app.ios]", "app: there is no such table; did you mean [apps.ios]?"),
    "unknown section beside a half of it": (
        AUDIENCE.replace("audiences.", "audience.") + "[audiences.users.columns]\nid = 'x'",
        "audience: there is no such table; did you mean [audiences.users]?",
    ),
    "unknown section after what is wrong": (
        "[sending]\nbatch = 0\n[loging]\nlevel = 'info'",
        "loging: there is no such table; did you mean [logging]? (1 more problem after that.)",
    ),
    "unknown table of a table": (
        AUDIENCE + "[audiences.users.column]\nid = 'x'",
        "audiences.users.column: there is no such table; did you mean [audiences.users.columns]?",
    ),
    "unknown key in the place of a required one": (
        with_app(TOPIC, "topik = 'x'"),
        "apps.ios.topik: there is no such setting; did you mean `topic`? (1 more problem after that.)",
    ),
    "unknown key": ("[store]\nurll = 'x'", "store.urll: there is no such setting; did you mean `url`?"),
    "unknown key of an app": (
        APP + "key_fil = 1",
        "apps.ios.key_fil: there is no such setting; did you mean `key_file`",
    ),
    "unlike any": ("[store]\nxyz = 1", "store.xyz: there is no such setting; there are `url`"),
    "elsewhere": ("senders = 3", "senders: there is no such setting; `senders` belongs under [sending]"),
    "of the other channel": (ANDROID + "topic = 'x'", "apps.droid-1.topic: there is no such setting; `topic` belongs"),
    "unknown column": (
        AUDIENCE + "columns.idd = 'x'",
        "audiences.users.columns.idd: there is no such setting; did you",
    ),
    "section is no table": ("store = 1", "store: must be a table; write [store] on a line of its own"),
    "app is no table": ("[apps]\nios = 1", "apps.ios: must be a table; write [apps.ios]"),
    "apps are no table": ("apps = 1", "apps: must be a table"),
    "no channel": ("[apps.ios]\ntopic = 'x'", f"apps.ios.channel: is missing; it must be {CHANNELS}"),
    "wrong channel": ("[apps.ios]\nchannel = 'apn'", f"apps.ios.channel: is 'apn'; it must be {CHANNELS}"),
    "no topic": (with_app(TOPIC, ""), "apps.ios.topic: is missing; it is the bundle id"),
    "empty topic": (with_app(TOPIC, "topic = ''"), "apps.ios.topic: is ''; it must be given, and not empty"),
    "no key": (
        "[apps.i]\nchannel = 'apns'\ntopic = 'x'",
        "apps.i: lacks `key_file`, `key_id` and `team_id`; a key needs",
    ),
    "half a key": (with_app(KEY_ID, ""), "apps.ios: lacks `key_id`; a key needs all of its file, id and team"),
    "key and certificate": (
        APP + "certificate_file = 'c'",
        "apps.ios: has `certificate_file` and `key_file`, `key_id`",
    ),
    "password of nothing": (APP + "certificate_password_file = 'c'", "but no `certificate_file`"),
    "key pasted": (
        with_app("keys/AuthKey.p8", f"-----BEGIN {PASSWORD}"),
        "apps.ios.key_file: must be the path of a file",
    ),
    "not a text": (
        with_app(KEY_ID, "key_id = 1234567890"),
        "apps.ios.key_id: is 1234567890; it must be a text, in quot",
    ),
    "environment": (APP + "environment = 'prod'", "is 'prod'; it must be 'production' or 'sandbox'"),
    "too few": ("[sending]\nbatch = 0", "sending.batch: is 0; it must be greater than or equal to 1"),
    "not a number": ("[sending]\nbatch = 'x'", "sending.batch: is 'x'; it must be a whole number"),
    "infinite": ("[sending]\nlease = inf", "sending.lease: is inf; it must be a number"),
    "not a boolean": (APP + "default = 3", "apps.ios.default: is 3; it must be true or false"),
    "several": ("[sending]\nbatch = 0\npage = 0\nlease = 0", "(2 more problems after that.)"),
    "other database": (f"[store]\nurl = 'mysql://u:{PASSWORD}@h/d'", f"store.url: must be {FORMS}"),
    "no database": (f"[store]\nurl = '{PASSWORD}'", f"store.url: must be {FORMS}"),
    "memory": ("[store]\nurl = 'sqlite:///:memory:'", "store.url: must name a file"),
    "driver": ("[store]\nurl = 'postgresql+asyncpg://h/d'", f"store.url: must be {FORMS}"),
    "options": ("[store]\nurl = 'sqlite:///a.db?x=1'", "store.url: must name a file and nothing else"),
    "options behind a folder": ("[store]\nurl = 'sqlite:////wh?at/a.db?mode=ro'", "store.url: must name a file"),
    "a NUL": ('[store]\nurl = "sqlite:///a\\u0000b"', "store.url: must name a file"),
    "two slashes": ("[store]\nurl = 'sqlite://a.db'", "store.url: must name a file"),
    "database as a number": ("[store]\nurl = 31337", "store.url: must be a text, in quotes"),
    "database as a table": (f"[store]\nurl = ['{PASSWORD}']", "store.url: must be a text, in quotes"),
    "http": (APP + "url = 'http://h'", "apps.ios.url: must be https://host or https://host:port, without a path"),
    "path": (APP + "url = 'https://h/x'", "apps.ios.url: must be https://host"),
    "port": (APP + "url = 'https://h:99999'", "apps.ios.url: must be https://host"),
    "user": (APP + f"url = 'https://u:{PASSWORD}@h'", "apps.ios.url: must be https://host"),
    "proxy": (APP + f"proxy = 'http://u:{PASSWORD}@h'", "apps.ios.proxy: must be http://host:port"),
    "token url": (ANDROID + "token_url = 'http://h'", "apps.droid-1.token_url: must be https://host/path"),
    "app's name": (ANDROID.replace("droid-1", '"a/b"'), "apps: 'a/b' is not a valid name"),
    "name with two underscores": (ANDROID.replace("droid-1", "a__b"), "apps: 'a__b' is not a valid name"),
    "two defaults": (
        ANDROID + "default = true\n[apps.b]\nchannel = 'fcm'\ndefault = true",
        "apps.b.default: droid-1 is the default for fcm already; keep one",
    ),
    "registry": (AUDIENCE.replace("users", "registry"), "audiences.registry: this name is taken"),
    "neither table nor query": (AUDIENCE.replace("table", "where"), "audiences.users: has neither `table` nor `query`"),
    "table and query": (AUDIENCE + "query = 'SELECT 1'", "audiences.users: has both `table` and `query`"),
    "no channel of anybody": (AUDIENCE.replace("channel", "app"), "has neither `channel` nor `columns.channel`"),
    "two channels": (AUDIENCE + "columns.channel = 'c'", "has both `channel` and `columns.channel`"),
    "channels of no column": (AUDIENCE + "channels = { ios = 'apns' }", "has `channels` but no `columns.channel`"),
    "two apps": (APP + AUDIENCE + "app = 'ios'\ncolumns.app = 'a'", "has both `app` and `columns.app`"),
    "app of any channel": (
        APP + "[audiences.u]\ntable = 't'\napp = 'ios'\ncolumns.channel = 'c'",
        "audiences.u: has `app` but no `channel`",
    ),
    "no such app": (
        APP + AUDIENCE + "app = 'io'",
        "audiences.users.app: is `io`, but there is no such app; name `ios`",
    ),
    "app of the other channel": (
        APP + ANDROID + AUDIENCE + "app = 'droid-1'",
        "audiences.users.app: is `droid-1`, but that app's channel is fcm; name `ios`",
    ),
    "no app at all": (AUDIENCE + "app = 'ios'", "there is no such app; add an app with channel apns"),
    "unknown channel meant": (
        "[audiences.u]\ntable = 't'\ncolumns.channel = 'c'\nchannels = { a = 'gcm' }",
        "audiences.u.channels.a: is 'gcm', which is not a channel; did you mean 'fcm'?",
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said(folder: Path, text: str, said: str) -> None:
    assert said in complaint(folder, text)


WRONG_VARIABLES = {
    "one underscore": ("STENTOR_STORE_URL", "x", "there is no such setting; did you mean STENTOR_STORE__URL?"),
    "unlike any": ("STENTOR_FOO", "x", "there is no such setting; put two underscores between its parts"),
    "of an app": (
        "STENTOR_APPS__IOS__KEYFILE",
        "x",
        "there is no such setting; did you mean STENTOR_APPS__IOS__KEY_FILE?",
    ),
    "a table": ("STENTOR_STORE", "x", "is a whole table; add two underscores and the setting"),
    "a number": ("STENTOR_SENDING__BATCH", "many", "is 'many'; it must be a whole number"),
    "a URL": ("STENTOR_STORE__URL", PASSWORD, f"must be {FORMS}"),
    "a key": (
        "STENTOR_APPS__IOS__KEY_FILE",
        f"-----BEGIN {PASSWORD}\n",
        "must be the path of a file, not what is in the",
    ),
}


@pytest.mark.parametrize(("name", "value", "said"), WRONG_VARIABLES.values(), ids=WRONG_VARIABLES.keys())
def test_a_wrong_variable_is_named(folder: Path, name: str, value: str, said: str) -> None:
    assert f"{name}: {said}" in complaint(folder, APP, **{name: value})


def test_a_variable_within_what_is_no_table(folder: Path) -> None:
    assert "apps: must be a table" in complaint(folder, "apps = 1", STENTOR_APPS__IOS__TOPIC="x")


def test_every_setting_is_explained() -> None:
    """`stentor init` and the documentation show these texts, and an example where the default says nothing."""
    for title, model in SECTIONS:
        for name, field in model.model_fields.items():
            assert field.description, f"{title}.{name} has no docstring"
            if field.is_required() or field.get_default(call_default_factory=True) in (None, (), {}):
                assert field.examples, f"{title}.{name} has no example"


def test_the_page_is_the_settings() -> None:
    assert (DOCS / "configuration.md").read_text() == page(), (
        "run `python docs/render_configuration.py > docs/configuration.md`"
    )


def test_the_examples_of_the_page_are_valid(folder: Path) -> None:
    examples = re.findall(r"```toml\n(.*?)```", page(), re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        assert read(folder, example).apps


def test_the_variables_of_the_page_are_settings(folder: Path) -> None:
    variables = dict(re.findall(r"^\| `(STENTOR_\w+__\w+)=(\S+)` \|", page(), re.MULTILINE))
    assert len(variables) == 4
    config = read(folder, APP + "[audiences.users]\ntable = 'devices'\nchannel = 'apns'", **variables)
    ios = config.apps["ios"]
    assert isinstance(ios, ApnsApp)
    assert ios.key_file == Path("/run/secrets/ios.p8")
    assert config.audiences["users"].columns.attributes == ("first_name", "plan")


def test_the_sections_are_all_there_are() -> None:
    assert {title.partition(".")[0] for title, _ in SECTIONS} == set(Config.model_fields)


OIDC = """
[api]
public_url = "https://stentor.example.com/"
[access.oidc]
issuer = "https://login.example.com/"
client_id = "stentor"
client_secret_file = "oidc.txt"
roles = { push-admins = "admin" }
"""


def test_access_is_read(folder: Path) -> None:
    config = read(folder, OIDC, STENTOR_ACCESS__SESSION_IDLE="600", STENTOR_ACCESS__OIDC__SCOPES="openid,groups")
    access = config.access
    assert config.api.public_url == "https://stentor.example.com"
    assert access.session_idle == 600
    assert access.oidc.issuer == "https://login.example.com/", "to the letter: the provider compares it"
    assert access.oidc.client_secret_file == folder / "oidc.txt"
    assert access.oidc.scopes == ("openid", "groups")
    assert read(folder, "[api]\npublic_url = 'http://localhost:8000'").api.public_url == "http://localhost:8000"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('client_id = "stentor"', "", "access.oidc: has an `issuer`; `client_id` and `roles` must be given as well"),
        (
            '"admin"',
            '"root"',
            "access.oidc.roles.push-admins: is 'root'; it must be 'view', 'write', 'send' or 'admin'",
        ),
        ("https://login", "http://login", "access.oidc.issuer: must be https://host/path, as the provider writes it"),
        (
            "https://stentor",
            "http://stentor",
            "api.public_url: must be https://host or https://host/path (http:// only for",
        ),
        ("https://stentor.example.com/", "https://a/?x=1", "api.public_url: must be https://host"),
        ('client_id = "stentor"', 'client_id = "stentor"\nscopes = ["email"]', "access.oidc: needs `openid` among its"),
        (
            'client_id = "stentor"',
            'client = "stentor"',
            "access.oidc.client: there is no such setting; did you mean `cl",
        ),
    ],
)
def test_what_is_wrong_with_access_is_said(folder: Path, before: str, after: str, said: str) -> None:
    assert before in OIDC
    assert complaint(folder, OIDC.replace(before, after)).startswith(said)


@pytest.mark.parametrize(
    ("api", "address"),
    [
        ({}, "http://127.0.0.1:8383"),
        ({"listen": "localhost:80"}, "http://localhost:80"),
        ({"listen": "[::1]:8383"}, "http://[::1]:8383"),
        ({"listen": "127.0.0.1:0"}, None),
        ({"listen": "0.0.0.0:8383", "insecure": True}, None),
        (
            {"listen": "0.0.0.0:8383", "insecure": True, "public_url": "https://push.example.com"},
            "https://push.example.com",
        ),
    ],
)
def test_where_people_reach_the_dashboard(api: dict[str, Any], address: str | None) -> None:
    assert ApiConfig.model_validate(api).address == address


@pytest.mark.parametrize("wrong", ["proxy.example.com", "10.0.0.300", "10.0.0.7/8", "*"])
def test_proxies_that_a_web_server_would_silently_not_trust_are_refused(folder: Path, wrong: str) -> None:
    api = '[api]\ntrusted_proxies = ["10.0.0.7", "10.1.0.0/24", "fd00::/8", "{}"]\n'
    said = complaint(folder, api.format(wrong))
    assert said.startswith(f"api.trusted_proxies.3: has '{wrong}', which is neither an address nor a network")
    trusted = read(folder, api.replace(', "{}"', "")).api.trusted_proxies
    assert trusted == ("10.0.0.7", "10.1.0.0/24", "fd00::/8")
