"""PostgreSQL's URLs: what they say, and what is told of those that are wrong."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from stentor.errors import InvalidConfiguration
from stentor.store.database import FORMS, Database
from stentor.store.postgresql_url import PostgresqlUrl, read


def said(target: PostgresqlUrl) -> dict[str, str]:
    """What the driver is told."""
    return {name: value for name, (value,) in parse_qs(urlsplit(target.dsn).query, strict_parsing=True).items()}


@pytest.mark.parametrize(
    ("url", "told", "where"),
    [
        ("postgresql://h/db", {"host": "h", "database": "db"}, "h:5432"),
        ("postgres://me@h:7/db", {"host": "h", "port": "7", "user": "me", "database": "db"}, "h:7"),
        (
            "postgresql://me:a%2Fb%3F%23%40%5B%20+&=:c@h/d%20b",
            {"host": "h", "user": "me", "password": "a/b?#@[ +&=:c", "database": "d b"},
            "h:5432",
        ),
        (
            "postgresql://h,[::1]:5433,i/db?target_session_attrs=read-write",
            {"host": "h,[::1],i", "port": "5432,5433,5432", "target_session_attrs": "read-write", "database": "db"},
            "h:5432,[::1]:5433,i:5432",
        ),
        ("postgresql:///db?host=a,b&port=7", {"host": "a,b", "port": "7,7", "database": "db"}, "a:7,b:7"),
        ("postgresql:///db?host=%2Frun%2Fpg", {"host": "/run/pg", "database": "db"}, "/run/pg"),
        ("postgresql://%2Frun%2Fpg:7/db", {"host": "/run/pg", "port": "7", "database": "db"}, "/run/pg"),
        ("postgresql:///db", {"database": "db"}, "localhost:5432"),
        ("postgresql://h?dbname=db&user=me", {"host": "h", "database": "db", "user": "me"}, "h:5432"),
        (
            "postgresql://h/db?fallback_application_name=x&sslmode=&statement_timeout=5s",
            {"host": "h", "database": "db", "application_name": "x", "statement_timeout": "5s"},
            "h:5432",
        ),
    ],
)
def test_what_a_url_says(url: str, told: dict[str, str], where: str) -> None:
    target = read(url)
    assert said(target) == told
    assert target.where == where
    assert target.database == told["database"]
    assert (target.connect_within, target.trusts_system, target.ignored) == (None, False, ())


def test_options_of_libpq() -> None:
    target = read("postgresql://h/db?connect_timeout=10&channel_binding=require&sslmode=verify-full&sslrootcert=system")
    assert (target.connect_within, target.trusts_system, target.ignored) == (10.0, True, ("channel_binding",))
    assert said(target) == {"host": "h", "database": "db", "sslmode": "verify-full"}
    assert read("postgresql://h/db?connect_timeout=0").connect_within is None


SECRET = "s3cret"


@pytest.mark.parametrize("character", "/?#@[]")
@pytest.mark.parametrize("rest", ["@h/db", "@h:5432/db?sslmode=require", "@h,i/db"])
def test_a_password_that_is_not_escaped(character: str, rest: str) -> None:
    for password in (f"{SECRET}{character}{SECRET}", f"{character}{SECRET}", f"{SECRET}{character}"):
        assert "write / as %2F" in refusal(f"postgresql://me:{password}{rest}")


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        (f"me:x@h:{SECRET}/db", "its port a number"),
        ("me:x@h:543x/db", "its port a number"),
        (f"me:{SECRET}/db", "its port a number"),
        (f"me:{SECRET}", "its port a number"),
        ("me:x@h:0/db", "from 1 to 65535"),
        ("me:x@h:65536/db", "from 1 to 65535"),
        ("me:x@h/db?port=x", "from 1 to 65535"),
        ("me:x@h,i,j/db?port=1,2", "as many ports as hosts"),
        ("me:x@h", "names no database"),
        ("me:x@h/", "names no database"),
        (f"me:x@h/db?{SECRET}", "after the ? stand options"),
        (f"me:x@h/db?connect_timeout={SECRET}", "connect_timeout must be a number"),
        ("me:x@[::1/db", "its host must be"),
        ("me:x@h o/db", "its host must be"),
    ],
)
def test_what_is_wrong_is_told_without_a_piece_of_it(rest: str, why: str) -> None:
    assert why in refusal(f"postgresql://{rest}")


def refusal(url: str) -> str:
    with pytest.raises(InvalidConfiguration) as caught:
        Database.open(url)
    told = str(caught.value)
    assert FORMS in told
    assert SECRET not in told
    assert "543x" not in told
    assert "\n" not in told
    return told
