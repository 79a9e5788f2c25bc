"""`pie doctor`: what it finds, also where torch, a plugin or the configuration is broken."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pie_doctor as doctor
from pie_doctor import Report, Status, examine, headers, machine
from pie_doctor.estimate import estimate
from pie_framework.assets.catalogue import OWN, Catalogue, read
from pie_framework.assets.store import Store
from pie_framework.cli.main import main
from pie_framework.composition.compose import compose
from pie_framework.composition.schema import parse
from pie_framework.composition.uses import Use, chosen, licences, recognise, uses
from pie_framework.plugins import discover

CATALOGUE = Catalogue({entry.name: entry for entry in read(OWN)})
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
        "agree on θ",
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
    assert "1024 pixels" in texts(report, "memory")


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
    assert "no option '--yaml'" in capsys.readouterr().err
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


def test_an_absent_package_that_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    find = machine.importlib.util.find_spec
    monkeypatch.setattr(
        machine.importlib.util,
        "find_spec",
        lambda name, *rest: None if name in ("tensorboard", "mediapipe") else find(name, *rest),
    )
    report = examine(["landmarks=mediapipe"])
    assert "needed for landmarks=mediapipe" in texts(report, "extras", Status.ERROR)
    assert "tensorboard" in texts(report, "extras", Status.NOTE)


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
    found = uses(run, discover(), Catalogue({entry.name: known}))
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
    found = uses(parse(compose([])), discover(), CATALOGUE)
    assert {use.licence for use in found} == {"MIT"}
    assert {use.role for use in found} >= {"generator", "encoder", "rig.expression", "features.recognition"}
    assert all(use.path is not None and use.size for use in found)


def test_a_run_records_the_licences_of_its_files(tmp_path: Path) -> None:
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(b"?")
    run = parse(compose([f"encoder.weights={mine}", "generator.weights=asset://stylegan2-ffhq-256"]))
    recorded = {row["name"]: row["licence"] for row in licences(run, discover())}
    assert recorded[str(mine)] == "unknown" and "MIT" in recorded.values()
    assert "NVIDIA" in recorded["stylegan2-ffhq-256"]


def test_headers_tell_layouts_and_sizes() -> None:
    found = {use.role: use.path for use in uses(parse(compose([])), discover(), CATALOGUE)}
    generator = headers.read(found["generator"])
    encoder = headers.read(found["encoder"])
    rig = headers.read(found["rig.rotation"])
    assert generator is not None and encoder is not None and rig is not None
    assert generator.sizes == {"resolution": 128, "latent_dim": 512, "num_layers": 12}
    assert generator.parameters > 1_000_000 and len(generator.channels) == 6
    assert encoder.layout == rig.layout and encoder.layout is not None
    assert headers.compare({"generator": generator, "encoder": encoder, "rig.rotation": rig}) == []
    other = headers.Header(encoder.layout[:-1], {"latent_dim": 64})
    assert [
        pair[:2] for pair in headers.compare({"generator": generator, "encoder": encoder, "x": other})
    ] == [
        ("x", "encoder"),
        ("x", "generator"),
    ]


def test_networks_for_another_generator_do_not_go(tmp_path: Path) -> None:
    """The bundled rigs with a generator of 32 pixels."""
    header = {"__metadata__": {"pie": json.dumps({"config": {"resolution": 32, "latent_dim": 48}})}}
    text = json.dumps(header).encode()
    path = tmp_path / "small.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    report = examine([f"generator.weights={path}"])
    assert "its num_layers is 12, the generator's 8" in texts(report, "run", Status.ERROR)
    assert not report.can_run


@pytest.mark.parametrize(
    "content", [b"", b"\x08\0\0\0\0\0\0\0[1, 2]  ", b"\xff" * 20, b"\x02\0\0\0\0\0\0\0{}"]
)
def test_headers_that_make_no_sense_are_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    header = headers.read(path)
    assert header is None or header.layout is None


# ---- memory ------------------------------------------------------------------------------------------------------


def test_the_estimate_grows_with_what_is_asked() -> None:
    registry = discover()
    run = parse(compose([], registry))
    found = uses(run, registry, CATALOGUE)
    said = {u.role: h for u in found if u.path and (h := headers.read(u.path))}

    def total(files: list[Use] = found, **changes: object) -> float:
        own = said if files is found else {}
        return estimate(dataclasses.replace(run, **changes), files, own).total

    def of(resolution: int) -> list[Use]:
        return [Use("generator", "stylegan2", "generator.weights", f"asset://stylegan2-ffhq-{resolution}")]

    synthesis = {name: term for name, term in run.terms.items() if name == "synthesis"}
    assert total(terms=synthesis) < total() < total(input=["a", "b"])
    assert total() < total(prior=dataclasses.replace(run.prior, blocks_per_step=3))
    assert total() < total(dtype="float64")
    assert total(of(256)) < total(of(1024))
    part = next(c for c in chosen(run, registry) if c.role == "generator")

    def with_settings(**settings: object) -> float:
        return estimate(run, of(1024), {}, dataclasses.replace(part, settings=settings)).total

    assert with_settings(checkpointing=True) < with_settings()
    assert with_settings(features="bfloat16") < with_settings()
    other = dataclasses.replace(part, component=registry.get("generator", "stylegan3"))
    assert estimate(run, of(1024), {}, other).total > 2 * total(of(1024))


def test_memory_of_this_machine() -> None:
    whole, free = machine.memory()
    assert whole is None or whole > 1 << 28
    assert free is None or whole is None or 0 < free <= whole


def test_importing_the_doctor_imports_no_torch() -> None:
    code = "import sys, pie_doctor, pie_assets.command; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=600, check=False)
    assert done.returncode == 0
    assert doctor.examine is examine
