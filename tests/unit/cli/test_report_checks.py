"""What `stentor doctor` says of the targets of reports."""

from __future__ import annotations

from pathlib import Path

from stentor.cli.report_checks import check_reports
from stentor.config import Config, ReportsConfig, ReportTarget
from stentor.findings import Status


async def test_each_target_has_a_finding(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    targets = {
        "team": ReportTarget(url="json://127.0.0.1:1/hook"),
        "lost": ReportTarget(url_file=tmp_path / "no.txt"),
        "backend": ReportTarget(webhook="https://example.com/hush", secret_file=secret),
        "inside": ReportTarget(webhook="https://10.0.0.1/hush", secret_file=secret),
    }
    found = await check_reports(Config(reports=ReportsConfig(targets=targets)))
    told = {each.check: (each.status, each.detail) for each in found}
    assert told["reports.targets.team"] == (
        Status.OK,
        "a json; `stentor report test team` shows whether it takes reports",
    )
    assert told["reports.targets.lost"] == (
        Status.PROBLEM,
        f"{tmp_path / 'no.txt'} cannot be read: No such file or directory",
    )
    assert told["reports.targets.backend"][1].startswith("a webhook example.com; ")
    assert told["reports.targets.inside"][0] is Status.PROBLEM
    assert "private network" in told["reports.targets.inside"][1]
    assert "hush" not in str(found)
