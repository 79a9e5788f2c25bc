"""The layers hold: import-linter's contracts, and that they cover every package and module there is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.house import circles, read_house

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


def test_every_plugin_is_linted():
    settings = contracts()["importlinter"]
    plugins = names_in(ROOT / "plugins")
    assert plugins | {"pie_framework"} == set(settings["root_packages"])
    held = [
        set(c["source_modules"])
        for c in settings["contracts"]
        if "import" in c["name"] and c["type"] == "forbidden"
    ]
    assert sorted(name for group in held for name in group) == sorted([*plugins, "pie_framework"])


def test_there_is_no_circle_of_imports():
    """Not among modules, nor among rooms, nor where only types are imported."""
    house = read_house()
    assert circles(house.arrows) == []
    assert circles(house.room_arrows) == []


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
            "Plugins of components import only",
        ),
        (
            "plugins/pie_energies/a.py",
            "from pie_framework.files.addresses import x",
            "Plugins of components import only",
        ),
        ("plugins/pie_mofa/a.py", "import pie_synthetic", "Plugins do not import one another"),
        ("pie_framework/cli/a.py", "import pie_energies", "The core imports no plugin"),
        ("pie_framework/api/a.py", "import pie_framework.plugins", "Layers of the core"),
        ("pie_framework/api/a.py", "import pie_framework.optimisation.solver", "Layers of the core"),
        ("pie_framework/optimisation/a.py", "import pie_framework.composition", "Layers of the core"),
        ("plugins/pie_bench/a.py", "import pie_framework.cli.main", "Plugins of commands"),
        ("plugins/pie_bench/a.py", "import pie_framework.composition.plan", None),
        ("plugins/pie_mofa/a.py", "import pie_training", None),
        ("plugins/pie_energies/a.py", "import pie_framework.api, pie_framework.rendering.camera", None),
        ("plugins/pie_synthetic/a.py", "import pie_facemodels", None),
    ],
)
def test_the_contracts_catch_what_they_are_for(tmp_path: Path, file: str, line: str, broken: str | None):
    """On an empty copy of the tree, with one import."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for path in [*(ROOT / "pie_framework").glob("*.py"), *(ROOT / "pie_framework").glob("*/__init__.py")]:
        touch(tmp_path / path.relative_to(ROOT))
    for name in names_in(ROOT / "plugins"):
        touch(tmp_path / "plugins" / name / "__init__.py")
    for module in (
        "rendering/camera",
        "files/addresses",
        "optimisation/solver",
        "composition/plan",
        "cli/main",
    ):
        touch(tmp_path / "pie_framework" / f"{module}.py")
    (tmp_path / file).write_text(line + "\n")
    done = lint_imports(tmp_path)
    assert (done.returncode == 0) == (broken is None), done.stdout
    if broken is not None:
        lines = [text for text in done.stdout.splitlines() if text.endswith("BROKEN")]
        assert len(lines) == 1
        assert lines[0].startswith(broken)


def touch(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
