"""The settings of reports: what is refused, and that no secret is in what is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from stentor.config import REPORTED, Config, dump, load, restore
from stentor.errors import InvalidConfiguration

SECRET = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7"
HOOK = 'webhook = "https://example.com/hook/hush"\n'


def read(folder: Path, text: str, **environment: str) -> Config:
    file = folder / "stentor.toml"
    file.write_text(text)
    return load(file, environment)


def target(settings: str) -> str:
    return f"[reports.targets.team]\n{settings}\n"


def test_a_target_gets_everything_unless_it_says_otherwise(tmp_path: Path) -> None:
    config = read(tmp_path, target('url_file = "slack.txt"') + '[reports]\nlink = "https://example.com/c/{id}"')
    team = config.reports.targets["team"]
    assert team.url_file == tmp_path / "slack.txt"
    assert team.events == REPORTED
    assert restore(dump(config)).reports == config.reports


def test_a_target_may_come_from_variables(tmp_path: Path) -> None:
    names = {"URL": f"slack://{SECRET}", "EVENTS": "failed,stalled"}
    config = read(tmp_path, "", **{f"STENTOR_REPORTS__TARGETS__TEAM__{name}": value for name, value in names.items()})
    assert config.reports.targets["team"].url == f"slack://{SECRET}"
    assert config.reports.targets["team"].events == ("failed", "stalled")
    with pytest.raises(InvalidConfiguration, match="did you mean STENTOR_REPORTS__TARGETS__TEAM__EVENTS"):
        read(tmp_path, target('url_file = "x"'), STENTOR_REPORTS__TARGETS__TEAM__EVENT="failed")


WRONG = {
    "none": ("", "has none of `url`, `url_file` and `webhook`; give exactly one"),
    "two": (f'url = "slack://{SECRET}"\n{HOOK}secret_file = "s"', "has `url` and `webhook`; give exactly one"),
    "no secret": (HOOK, "has a `webhook` but no `secret_file`"),
    "a secret for nothing": ('url_file = "x"\nsecret_file = "s"', "has `secret_file`, which is only for a `webhook`"),
    "private for nothing": ('url_file = "x"\nallow_private = true', "has `allow_private`, which is only for"),
    "not https": ('webhook = "http://example.com/hush"\nsecret_file = "s"', "must be https://host/path"),
    "no such event": ('url_file = "x"\nevents = ["finished"]', "is 'finished'; it must be"),
    "no event": ('url_file = "x"\nevents = []', "at least 1 item"),
    "a typing mistake": ('url_fil = "x"', "did you mean `url_file`?"),
    "not a text": ("url = 7\n# hush", "must be a text, in quotes"),
}


@pytest.mark.parametrize(("settings", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_is_refused_without_showing_a_url(tmp_path: Path, settings: str, said: str) -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        read(tmp_path, target(settings))
    assert "reports.targets.team" in str(refused.value)
    assert said in str(refused.value)
    assert "hush" not in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("link", ["https://example.com/campaigns", "campaigns/{id}", "ftp://x/{id}", "https://x/ {id}"])
def test_a_link_names_a_page_of_each_campaign(tmp_path: Path, link: str) -> None:
    with pytest.raises(InvalidConfiguration, match=r"reports\.link: must be the address of a page with \{id\}"):
        read(tmp_path, f'[reports]\nlink = "{link}"')


def test_a_targets_name_is_a_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"reports\.targets: 'the team' is not a valid name"):
        read(tmp_path, '[reports.targets."the team"]\nurl_file = "x"')


def test_no_secret_is_in_the_repr(tmp_path: Path) -> None:
    config = read(
        tmp_path, target(f'url = "slack://{SECRET}"') + "[reports.targets.other]\n" + HOOK + 'secret_file="s"'
    )
    assert SECRET not in repr(config)
    assert "hush" not in repr(config)


@pytest.mark.parametrize(
    ("api", "reports", "link"),
    [
        ("", "", None),
        ('public_url = "https://push.example.com/"', "", "https://push.example.com/campaigns/{id}"),
        ('public_url = "https://push.example.com"', 'link = "https://x.example/{id}"', "https://x.example/{id}"),
    ],
)
def test_reports_link_to_the_dashboard_unless_told_otherwise(
    tmp_path: Path, api: str, reports: str, link: str | None
) -> None:
    assert read(tmp_path, f"[api]\n{api}\n[reports]\n{reports}\n").reporting.link == link
