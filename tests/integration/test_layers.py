"""The layers hold: import-linter's contracts, and that they cover every package and module there is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[2]


def contracts() -> dict[str, Any]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return settings["tool"]


def names_in(folder: Path) -> set[str]:
    found = {path.stem for path in folder.glob("*.py")} | {
        path.parent.name for path in folder.glob("*/__init__.py")
    }
    return found - {"__init__"}


def test_every_plugin_is_packaged_and_linted():
    tool = contracts()
    plugins = names_in(ROOT / "plugins")
    assert {f"plugins/{name}" for name in plugins} | {"pie_framework"} == set(
        tool["hatch"]["build"]["targets"]["wheel"]["packages"]
    )
    assert plugins | {"pie_framework"} == set(tool["importlinter"]["root_packages"])


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache", "--no-logo"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        env={"PYTHONPATH": f"{folder}:{folder / 'plugins'}", "PATH": "", "HOME": str(folder)},
    )


def test_the_contracts_hold():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        (
            "plugins/pie_energies/a.py",
            "import pie_framework.optimisation.solver",
            "Plugins import only the public modules",
        ),
        (
            "plugins/pie_energies/a.py",
            "from pie_framework.files.io import x",
            "Plugins import only the public modules",
        ),
        ("plugins/pie_mofa/a.py", "import pie_synthetic", "Plugins do not import one another"),
        ("pie_framework/a.py", "import pie_energies", "The core imports no plugin"),
        ("pie_framework/api/a.py", "import pie_framework.plugins", "The contract imports nothing"),
        ("plugins/pie_energies/a.py", "import pie_framework.api, pie_framework.rendering.camera", None),
        ("plugins/pie_synthetic/a.py", "import pie_facemodels", None),
    ],
)
def test_the_contracts_catch_what_they_are_for(tmp_path: Path, file: str, line: str, broken: str | None):
    """On an empty copy of the tree, with one import."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    packages = [f"plugins/{name}" for name in names_in(ROOT / "plugins")]
    for package in ["pie_framework", "pie_framework/api", "pie_framework/rendering", *packages]:
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "__init__.py").touch()
    for module in (
        "solver",
        "io",
        "plugins",
        "build",
        "errors",
        "hookspecs",
        "testing",
        "training",
        "assets",
    ):
        (tmp_path / f"pie_framework/{module}.py").touch()
    for module in ("cli", "compose", "config", "rendering/camera"):
        (tmp_path / f"pie_framework/{module}.py").touch()
    (tmp_path / file).write_text(line + "\n")
    done = lint_imports(tmp_path)
    assert (done.returncode == 0) == (broken is None), done.stdout
    if broken is not None:
        lines = [text for text in done.stdout.splitlines() if text.endswith("BROKEN")]
        assert len(lines) == 1
        assert lines[0].startswith(broken)
