"""The tutorial of terms works as it stands: its files written, its commands run, in a fresh environment."""

from __future__ import annotations

import os
import re
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "plugins" / "term-tutorial.md"


def steps() -> list[tuple[str, str]]:
    """(file, text) and ("", commands) in the order of the page."""
    found = []
    for language, text in re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S):
        named = re.match(r"# (pie-[\w/.-]+)\n", text)
        if named:
            found.append((named[1], text[named.end() :]))
        elif not language:
            found.append(("", text))
    return found


@pytest.fixture
def fresh(tmp_path: Path) -> dict[str, str]:
    """Variables of a new virtual environment that sees what is installed here, so that nothing is downloaded.

    pip builds with the hatchling that is here (extra `test`) and leaves dependencies alone, as they are there.
    """
    folder = tmp_path / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    (packages,) = folder.glob("lib/python*/site-packages")
    places = [p for p in (*sys.path, *site.getsitepackages()) if Path(p).is_dir() and "python3" in p]
    places += [str(PAGE.parents[2]), str(PAGE.parents[2] / "plugins")]
    lines = [f"import site; site.addsitedir({place!r})" for place in dict.fromkeys(places)]
    (packages / "here.pth").write_text("\n".join(lines) + "\n")
    for command, module in {"pie": "pie_framework.cli.main", "pip": "pip", "pytest": "pytest"}.items():
        script = folder / "bin" / command
        script.write_text(f'#!/bin/sh\nexec {python} -m {module} "$@"\n')
        script.chmod(0o755)
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIE_", "PIP_"))
    }
    return {
        **kept,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(folder),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this as --no-build-isolation
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }


def test_the_tutorial_works_as_written(fresh: dict[str, str], tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    printed: dict[str, str] = {}
    for name, text in steps():
        if name:
            assert (work / name).is_file(), f"the tutorial changes {name}, which was not written"
            (work / name).write_text(text, encoding="utf-8")
            continue
        for line in text.splitlines():
            done = subprocess.run(
                ["sh", "-c", line], cwd=work, env=fresh, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            printed[line] = done.stdout
    checks = [text for line, text in printed.items() if line.startswith("pie plugins check")]
    assert checks and all("FAIL" not in text and "warn" not in text for text in checks)
    (run,) = (text for line, text in printed.items() if line.startswith("pie run"))
    assert re.search(r"\bbackdrop [\d.]+", run)
    (table,) = (text for line, text in printed.items() if line.startswith("pie bench"))
    rows = re.findall(r"^ +(full|backdrop) +([\d.]+) ", table, re.M)
    assert [name for name, _ in rows[:2]] == ["full", "backdrop"]
    energies = next(work.glob("outputs/*/energies.csv")).read_text()
    assert "backdrop" in energies.splitlines()[0]
