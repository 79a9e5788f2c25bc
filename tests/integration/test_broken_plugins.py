"""Every broken plugin ends in one line that names it, with the right exit status, and keeps what was good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.broken import components, declarations, terms
from tests.integration.broken.world import Case, Result, execute

CASES = [*terms.CASES, *components.CASES]


def check(case: Case, result: Result) -> None:
    """What holds of all."""
    everything = result.out + result.err
    assert "Traceback" not in everything
    assert result.status == case.status, everything[-500:]
    assert case.said in " ".join(everything.split()), everything[-500:]
    errors = [line for line in result.err.splitlines() if line.startswith("pie: error:")]
    quiet = case.kept in ("non-finite", "stalled")  # told on the summary's line
    assert len(errors) == (1 if case.status and not quiet else 0), result.err
    assert result.outcome == case.kept
    assert result.latent == bool(case.kept)


@pytest.mark.parametrize("case", declarations.CASES, ids=lambda case: f"{case.kind}: {case.fault}")
def test_a_broken_plugin_is_named_and_the_others_go_on(
    case: Case, install: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = execute(case, install, tmp_path, capsys)
    check(case, result)
    if case.words == declarations.LIST:
        (line,) = [line for line in result.err.splitlines() if "odd-dist 1.0" in line]
        assert line.startswith(("pie: warning:", "pie: error:"))
        assert "pie-framework" in result.out, "the others are there"
    if "declares" in case.fault or "version" in case.fault:
        assert " fine " in result.out and " other " in result.out, "its neighbours are there"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.fault}")
def test_a_broken_component_is_one_line_and_the_run_is_kept(
    case: Case, install: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = execute(case, install, tmp_path, capsys)
    check(case, result)
    if case.kept == "failed":
        assert case.said.split(" (at step")[0] in result.message


def test_there_are_many_and_no_two_alike() -> None:
    everyone = [*CASES, *declarations.CASES]
    assert len(everyone) >= 100
    assert len({(case.kind, case.fault) for case in everyone}) == len(everyone)


def test_the_page_has_a_row_for_every_case() -> None:
    page = (Path(__file__).parents[2] / "docs" / "plugins" / "faults.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| kind")]
    everyone = [*CASES, *declarations.CASES]
    assert len(rows) == len(everyone)
    for case in everyone:
        (row,) = [line for line in rows if line.startswith(f"| {case.kind} | {case.fault} |")]
        assert row.endswith(f"| {case.status} | {case.kept or '-'} |"), row
        assert case.said.split(" (at step")[0] in row, row
