"""What holds for every test: Hypothesis' settings, and the rule that a test may be skipped only for a stated reason.

A test that is skipped, or expected to fail, without a reason fails the whole run: such a test proves nothing and says
so to nobody. Skips with reasons are listed at the end of the run (`-ra` in pyproject.toml).
"""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

# No deadline for one example: how long it takes is a matter of the machine and of what else runs on it.
# Under CI the same examples are drawn each time: a new counterexample is found by whoever runs the tests at a desk, not
# by whoever's change happens to be next.
settings.register_profile("stentor", deadline=None, print_blob=True, derandomize="CI" in os.environ)
settings.load_profile("stentor")

# A shell has what it starts in the background ignore Ctrl-C, and tests of Ctrl-C would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

NO_REASON = frozenset({"", "unconditional skip"})  # what pytest says in place of a reason


class SkipReasons:
    """Collects the skips and expected failures that give no reason, and fails the run if there are any."""

    def __init__(self) -> None:
        self.unexplained: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._look_at(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._look_at(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self.unexplained and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unexplained:
            terminalreporter.section("skipped or expected to fail without a reason", red=True)
            terminalreporter.write_line("\n".join(self.unexplained))

    def _look_at(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and _reason(report) in NO_REASON:
            self.unexplained.append(report.nodeid)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SkipReasons(), "stentor-skip-reasons")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail).removeprefix("reason: ").strip()
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped").removeprefix(":").strip()
