"""The root of the command line: version, help, and errors that become one line and an exit code."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import stentor
from stentor.cli.main import Commands, app, exit_code
from stentor.errors import (
    ConnectFailed,
    CredentialError,
    CredentialUnavailable,
    InvalidConfiguration,
    InvalidMessage,
    StentorError,
)

README = Path(__file__).parents[3] / "README.md"
ERRORS = [
    (StentorError("no\nluck"), 1, "stentor: no luck\n"),
    (ConnectFailed(), 1, "stentor: No connection to the provider could be made.\n"),
    (CredentialUnavailable("token server: 503"), 1, "stentor: token server: 503\n"),
    (CredentialError("key.p8: not a key"), 2, "stentor: key.p8: not a key\n"),
    (InvalidConfiguration("--port: 70000"), 2, "stentor: --port: 70000\n"),
    (InvalidMessage("apns.payload", "too long"), 2, "stentor: apns.payload: too long\n"),
]


def app_that_raises(error: BaseException) -> typer.Typer:
    """The real root with a sub-application, as `stentor simulate apns` has, whose command raises `error`."""
    group = typer.Typer()

    @group.command()
    def fail() -> None:
        raise error

    @group.command()
    def rest() -> None: ...

    root = typer.Typer(cls=Commands)
    root.add_typer(group, name="sub")
    return root


@pytest.mark.parametrize(("error", "code", "line"), ERRORS, ids=lambda value: type(value).__name__)
def test_an_error_is_one_line_and_a_code(error: StentorError, code: int, line: str) -> None:
    done = CliRunner(env={"STENTOR_DEBUG": None}).invoke(app_that_raises(error), ["sub", "fail"])
    assert (done.exit_code, done.stderr, done.stdout) == (code, line, "")
    assert exit_code(error) == code


def test_debug_shows_the_traceback_and_then_the_line() -> None:
    done = CliRunner(env={"STENTOR_DEBUG": "1"}).invoke(app_that_raises(StentorError("no luck")), ["sub", "fail"])
    assert done.exit_code == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("\nstentor: no luck\n")


def test_a_defect_keeps_its_traceback() -> None:
    done = CliRunner().invoke(app_that_raises(ZeroDivisionError()), ["sub", "fail"])
    assert isinstance(done.exception, ZeroDivisionError)


def test_ctrl_c_has_a_code_of_its_own() -> None:
    done = CliRunner().invoke(app_that_raises(KeyboardInterrupt()), ["sub", "fail"])
    assert done.exit_code == 130


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["--version"], {"sqlalchemy", "aiohttp", "pydantic", "stentor.runtime"}),
        (["simulate", "apns", "--help"], {"sqlalchemy", "stentor.runtime", "stentor.bench"}),
        (["send", "--help"], {"aiohttp", "stentor.bench", "stentor.simulators"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_loads_only_what_it_needs(arguments: list[str], unneeded: set[str]) -> None:
    code = f"""
import sys
from typer.testing import CliRunner
from stentor.cli.main import app
assert CliRunner().invoke(app, {arguments}).exit_code == 0
print(sorted({unneeded} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_command_that_is_nearly_right_is_named() -> None:
    assert "Did you mean 'send'?" in CliRunner().invoke(app, ["snd"]).stderr


def test_wrong_usage_is_2() -> None:
    assert CliRunner().invoke(app, ["no-such-command"]).exit_code == 2


def test_version() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"stentor {stentor.__version__}\n")


def test_help_names_the_commands_and_keeps_its_examples() -> None:
    done = CliRunner().invoke(app, ["--help"], terminal_width=80)
    assert done.exit_code == 0
    for words in ("simulate", "bench", "Exit codes: 0 done, 1 failed, 2 "):
        assert words in done.stdout
    assert "\n    stentor bench wire     " in done.stdout


def test_the_readme_names_only_commands_that_exist() -> None:
    named = set(re.findall(r"^stentor ([a-z]+)(?: ([a-z]+))?", README.read_text(), re.MULTILINE))
    assert named
    for words in named:
        done = CliRunner().invoke(app, [*filter(None, words), "--help"])
        assert done.exit_code == 0, (words, done.output)


def test_the_installed_command_is_this_one() -> None:
    [command] = entry_points(group="console_scripts", name="stentor")
    assert command.load() is app
