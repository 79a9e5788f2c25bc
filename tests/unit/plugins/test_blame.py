"""A run folder names the package of a component that is no longer installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pie_framework.cli.main import main
from pie_framework.errors import ComponentError, ConfigError
from pie_framework.plugins import discover, missing_package, naming_missing_packages
from pie_framework.runs.folder import Manifest, RunFolder

RECORDED = [
    {"role": "generator", "kind": "generator", "name": "glow", "package": "pie-glow", "version": "0.9"},
    {"role": "terms.a", "kind": "energy", "name": "glow", "package": "pie-shine", "version": "2.0"},
]


def unknown(kind: str, name: str) -> ComponentError:
    with pytest.raises(ComponentError) as caught:
        discover({}).get(kind, name)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "name", "package"),
    [
        ("generator", "glow", "pie-glow==0.9"),
        ("energy", "glow", "pie-shine==2.0"),
        ("energy", "pie-shine:glow", "pie-shine==2.0"),
    ],
)
def test_the_package_is_the_one_that_the_run_recorded(kind: str, name: str, package: str):
    told = str(missing_package(unknown(kind, name), RECORDED))
    assert f"the {kind} 'glow' of {package.replace('==', ' ')}" in told
    assert f"pip install '{package}'" in told


def test_a_selection_that_leaves_the_package_out_is_mentioned(install, monkeypatch: pytest.MonkeyPatch):
    error = unknown("generator", "glow")
    monkeypatch.setenv("PIE_PLUGINS", "-energies")
    assert "PIE_PLUGINS" not in str(missing_package(error, RECORDED))
    install("pie-glow", {"shine": "glow_plugin"}, {"glow_plugin.py": ""})
    assert "PIE_PLUGINS" not in str(missing_package(error, RECORDED))
    monkeypatch.setenv("PIE_PLUGINS", "-shine")
    assert str(missing_package(error, RECORDED)).endswith("offers it. PIE_PLUGINS=-shine leaves it out.")


def test_what_was_not_recorded_and_other_errors_stay_as_they_are():
    for error in (unknown("rig", "glow"), unknown("generator", "glimmer"), ComponentError("broken")):
        assert missing_package(error, RECORDED) is error
    assert missing_package(unknown("rig", "x"), [{"name": "x"}]).message == "there is no rig named 'x'"
    with pytest.raises(ConfigError), naming_missing_packages(RECORDED):
        raise ConfigError("not about components")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that was made with a generator that is gone."""
    import torch

    config = {
        "generator": {"name": "glow"},
        "device": "cpu",
        "schedule": {"stages": [{"name": "w", "space": "w", "steps": 1, "lr": 0.1}]},
    }
    with RunFolder.create(tmp_path / "run") as folder:
        folder.write_manifest(Manifest(config=config, inputs=["example"], plugins=RECORDED))
        folder.write_latent(torch.zeros(1, 2, 3))
        folder.keep()
    return folder.path


@pytest.mark.parametrize("command", ["edit", "resume"])
def test_opening_such_a_run_names_it(run: Path, capsys: pytest.CaptureFixture[str], command: str):
    words = ["edit", str(run), "rotation.yaw=5"] if command == "edit" else ["run", f"resume={run}"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error == (
        "pie: error: the run was made with the generator 'glow' of pie-glow 0.9, and no installed plugin "
        "offers it. Install it: pip install 'pie-glow==0.9'.\n"
    )
