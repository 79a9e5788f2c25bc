"""`pie doctor`: what it finds, also where torch, a plugin or the configuration is broken."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pie_doctor import machine
from pie_doctor.examine import examine
from pie_doctor.report import Report, Status
from pie_framework.assets.catalogue import Catalogue, load
from pie_framework.assets.store import Store
from pie_framework.cli.main import main
from pie_framework.composition.compose import compose
from pie_framework.composition.plan import make_plan
from pie_framework.composition.schema import parse
from pie_framework.composition.uses import file_keys, licences, recognise, uses
from pie_framework.plugins import discover
from tests.unit.pie_weights.untrusted.kinds import ADA

CATALOGUE = load()
OTHERS = ["generator.weights=asset://stylegan2-ffhq-1024", "features=vgg", "face_model=bfm", "encoder=deep3d"]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("PIE_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setenv("COLUMNS", "200")
    return Store()


def texts(report: Report, section: str, status: Status | None = None) -> str:
    found = [f for f in report.of(section) if status in (None, f.status)]
    return "\n".join(f"{f.name}: {f.text} {f.hint}" for f in found)


# ---- the whole ---------------------------------------------------------------------------------------------------


def test_the_default_run_can_go(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    for text in (
        "Python",
        "torch",
        "generator.weights",
        "bundled weights",
        "MIT",
        "It can run.",
    ):
        assert text in shown
    assert "Traceback" not in shown


def test_what_is_missing_is_told_with_what_to_do() -> None:
    report = examine(OTHERS)
    assert not report.can_run
    errors = texts(report, "assets", Status.ERROR)
    assert "pie assets pull stylegan2-ffhq-1024" in errors
    assert "features.perceptual.weights=asset://vgg16-imagenet" in errors
    assert "encoder.weights=asset://deep3d-epoch20" in errors
    assert "face_model.path=asset://bfm-front" in errors
    assert "non-commercial" in texts(report, "licences", Status.WARNING)


def test_in_a_file_paths_stay_whole_and_errors_come_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    absent = "/nowhere/" + "a" * 60 + "/generator.pkl"
    assert main(["doctor", f"generator.weights={absent}"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(absent in line for line in lines)
    last = "\n".join(lines[-3:])
    assert "one thing stops it" in last and "generator.weights: " in last and absent in last


def test_json_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", *OTHERS]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["can_run"] is False and said["overrides"] == OTHERS
    assert said["components"]["generator"] == "stylegan2"
    assert {"section", "name", "status", "text", "hint"} == set(said["findings"][0])
    generator = next(use for use in said["assets"] if use["setting"] == "generator.weights")
    assert generator["entry"] == "stylegan2-ffhq-1024" and generator["non_commercial"] is True


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["generator=stylegan9"], "Did you mean"),
        (["generater.weights=x"], "Did you mean"),
        (["schedule.check_every=0"], "too small"),
        (["rig=none"], "none is chosen"),
        (["device=cuda:63"], "is not there"),
        (["backbone=/nowhere"], "is not there"),
        (["encoder.weights=gone.safetensors"], "does not exist"),
        (["terms.edit.term=edits"], "no energy named 'edits'"),
    ],
)
def test_runs_that_cannot_go(overrides: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *overrides]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert said in shown and "It cannot run" in shown and "Traceback" not in shown


def test_options_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--yaml"]) == 2
    assert "unrecognized arguments: --yaml" in capsys.readouterr().err
    assert main(["doctor", "--help"]) == 0
    assert "--build" in capsys.readouterr().out


def test_building_shows_what_only_loading_can(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "generator.safetensors"
    broken.write_bytes(b"\x00" * 64)
    report = examine([f"generator.weights={broken}"], build=True)
    assert "generator.safetensors" in texts(report, "run", Status.ERROR)


# ---- broken installations ----------------------------------------------------------------------------------------


def test_without_torch_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine.importlib.import_module

    def broken(name: str) -> object:
        if name == "torch":
            raise OSError("libtorch.so: cannot open shared object file")
        return before(name)

    monkeypatch.setattr(machine.importlib, "import_module", broken)
    report = examine(build=True)
    assert not report.can_run
    assert "cannot be imported: OSError: libtorch.so" in texts(report, "machine", Status.ERROR)
    assert "generator.safetensors" in texts(report, "assets", Status.OK)


def test_a_python_without_torch_at_all(tmp_path: Path) -> None:
    """In a process of its own, where importing torch fails: nothing else may need it."""
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pie_framework.cli.main import main; "
        "sys.exit(main(['doctor']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "no torch here" in done.stdout and "It cannot run" in done.stdout and not done.stderr


BROKEN = {
    "import": ("raise RuntimeError('it is broken')", "it is broken"),
    "component": (
        "from pie_framework.api import Component, Kind\n"
        "from pie_framework.hookspecs import hookimpl\n"
        "from pie_stylegan.settings import GeneratorConfig\n"
        "@hookimpl\n"
        "def pie_generators():\n"
        "    return [Component(Kind.GENERATOR, 'mine', 'broken_plugin.absent:build', config=GeneratorConfig)]\n",
        "cannot be loaded from 'broken_plugin.absent:build'",
    ),
}


@pytest.mark.parametrize("what", list(BROKEN))
def test_a_broken_plugin_is_told(install: Callable[..., Path], what: str) -> None:
    code, said = BROKEN[what]
    install(
        "broken-plugin",
        {"broken": "broken_plugin.plugin"},
        {"broken_plugin/__init__.py": "", "broken_plugin/plugin.py": code},
    )
    report = examine(["generator.name=mine"] if what == "component" else [])
    everything = texts(report, "plugins") + texts(report, "run")
    assert said in everything and "broken" in everything
    assert report.can_run is (what == "import"), "a plugin that is not needed only warns"


def test_plugins_that_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIE_PLUGINS", "none")
    assert not examine().can_run
    monkeypatch.setenv("PIE_PLUGINS", "no-such")
    report = examine()
    assert "not installed" in texts(report, "plugins", Status.ERROR)


def test_an_absent_package_that_is_needed(
    monkeypatch: pytest.MonkeyPatch, install: Callable[..., Path]
) -> None:
    others(install, packages=("no-such-package",))
    wanted = {"pie-framework": ['some-lib>=1; extra == "more"', 'pytest; extra == "test"', "torch>=2"]}
    monkeypatch.setattr(machine.importlib.metadata, "requires", lambda name: wanted.get(name))
    report = examine(["generator.name=mine", "generator.amount=3"])
    assert "needed for generator=mine" in texts(report, "extras", Status.ERROR)
    assert texts(report, "extras", Status.NOTE).endswith('pip install "pie-framework[more]".')
    assert len(list(report.of("extras"))) == 2


# ---- files -------------------------------------------------------------------------------------------------------


def test_a_file_of_the_catalogue_is_recognised_under_any_name(tmp_path: Path) -> None:
    import hashlib

    mine = tmp_path / "renamed.bin"
    mine.write_bytes(b"\x80\x02K\x01.")
    entry = CATALOGUE.get("stylegan2-ffhq-1024")
    sha256 = hashlib.sha256(mine.read_bytes()).hexdigest()
    known = dataclasses.replace(entry, size=5, sha256=sha256)
    assert recognise(mine, Catalogue({entry.name: known})) is known
    assert recognise(mine, CATALOGUE) is None
    assert recognise(tmp_path, CATALOGUE) is None
    run = parse(compose([f"generator.weights={mine}"]))
    found = uses(make_plan(run), Catalogue({entry.name: known}))
    assert found[0].entry == entry.name and found[0].non_commercial is True


def test_a_file_of_unknown_origin_is_said_to_be_one(tmp_path: Path) -> None:
    mine = tmp_path / "mine.pkl"
    mine.write_bytes(b"\x80\x02K\x01.")
    report = examine([f"generator.weights={mine}"])
    assert "is a file of yours" in texts(report, "licences", Status.WARNING)


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"", Status.ERROR, "is empty"),
        (b"<!DOCTYPE html><html>", Status.ERROR, "is a web page"),
        (b"a list of things to do", Status.WARNING, "is not in a format"),
        (b"\x80\x02K\x01.", None, ""),
    ],
)
def test_what_is_plainly_no_weights_is_seen(
    tmp_path: Path, content: bytes, status: Status | None, said: str
) -> None:
    mine = tmp_path / "mine.pkl"
    mine.write_bytes(content)
    report = examine([f"generator.weights={mine}"])
    found = [f for f in report.of("assets") if f.status is not Status.OK]
    assert [f.status for f in found] == ([] if status is None else [status])
    assert all(said in f.text and f.name == "generator.weights" for f in found)


def test_an_empty_folder_is_no_face_model(tmp_path: Path) -> None:
    report = examine(["face_model=ict", f"face_model.path={tmp_path}"])
    assert "is an empty folder" in texts(report, "assets", Status.ERROR)


def test_every_bundled_file_states_its_licence() -> None:
    found = uses(make_plan(compose([])), CATALOGUE)
    assert {use.licence for use in found} == {"MIT"}
    assert {use.role for use in found} >= {"generator", "encoder", "rig.expression", "features.recognition"}
    assert all(use.path is not None and use.size for use in found)


def test_a_run_records_the_licences_of_its_files(tmp_path: Path) -> None:
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(b"?")
    run = parse(compose([f"encoder.weights={mine}", "generator.weights=asset://stylegan2-ffhq-256"]))
    recorded = {row["name"]: row["licence"] for row in licences(make_plan(run))}
    assert recorded[str(mine)] == "unknown" and "MIT" in recorded.values()
    assert "NVIDIA" in recorded["stylegan2-ffhq-256"]


def test_networks_for_another_generator_do_not_go(tmp_path: Path) -> None:
    """The bundled rigs with a generator of 64 pixels."""
    report = examine([f"generator.weights={ADA}", "init=mean"], build=True)
    assert "was trained for another generator" in texts(report, "run", Status.ERROR)
    assert not report.can_run


OTHERS_PLUGIN = """
from dataclasses import dataclass
from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl

@dataclass(frozen=True)
class Settings:
    kind: str = "plain"
    theirs: str = "pkg://pie_framework/errors.py"
    amount: int = "???"

@hookimpl
def pie_components():
    return [Component(Kind.GENERATOR, "mine", "others:build", config=Settings, api_version=(1, 1), packages={packages})]

def build(config, context):
    raise NotImplementedError
"""


def others(install: Callable[..., Path], packages: tuple[str, ...] = ()) -> None:
    code = OTHERS_PLUGIN.replace("{packages}", repr(packages))
    install("others-dist", {"others": "others"}, {"others.py": code})


def test_a_plain_text_is_a_file_by_its_address(install: Callable[..., Path]) -> None:
    others(install)
    run = parse(compose(["generator.name=mine", "generator.amount=3", "generator.kind=asset://lpips-vgg"]))
    found = {use.setting: use for use in uses(make_plan(run), CATALOGUE) if use.role == "generator"}
    assert set(found) == {"generator.theirs", "generator.kind"}
    assert found["generator.theirs"].path is not None
    assert found["generator.kind"].entry == "lpips-vgg" and found["generator.kind"].problem
    assert "generator.theirs" not in file_keys(run, discover())


def test_what_must_be_given_and_is_no_file_is_told_once(install: Callable[..., Path]) -> None:
    others(install)
    report = examine(["generator.name=mine"])
    errors = [f for f in report.findings if f.status is Status.ERROR]
    assert [(f.name, f.text) for f in errors] == [("generator.amount", "it must be given")]


def test_the_files_of_a_run_by_their_keys() -> None:
    keys = file_keys(parse(compose(["features=vgg", "face_model=flame"])), discover())
    assert {"generator.weights", "rig.rotation.weights", "features.perceptual.heads"} <= keys
    assert {"face_model.path", "face_model.landmarks", "inverter.weights"} <= keys
    assert not {key for key in keys if key.endswith((".name", ".region"))}


# ---- memory ------------------------------------------------------------------------------------------------------


def test_memory_is_measured_where_it_is_asked_for() -> None:
    report = examine(["schedule.stages.0.steps=100"], measure=True)
    assert report.can_run, texts(report, "run", Status.ERROR)
    assert "GB of main memory, in a step of each of 2 stages" in texts(report, "memory", Status.OK)
    assert report.facts["measured"]["main memory"] > 1 << 26
    assert not list(examine().of("memory"))


def test_a_step_that_fails_stops_the_run() -> None:
    report = examine(["input=nowhere.jpg"], measure=True)
    assert "nowhere.jpg" in texts(report, "run", Status.ERROR)


def test_memory_of_this_machine() -> None:
    whole, free = machine.memory()
    assert whole > 1 << 28 and 0 <= free <= whole


def test_a_container_s_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"memory.max": 1 << 20, "memory.current": 1 << 19}
    monkeypatch.setattr(machine, "_cgroup", limits.get)
    whole, free = machine.memory()
    assert whole == 1 << 20 and free <= 1 << 19


def test_importing_the_doctor_imports_no_torch() -> None:
    code = "import sys, pie_doctor, pie_assets.command; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=600, check=False)
    assert done.returncode == 0
