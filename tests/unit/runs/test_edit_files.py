"""What an edit leaves behind, from the toy world."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from pie_framework.api import Networks
from pie_framework.editing.controls import Vocabulary
from pie_framework.editing.edit import EditResult, edit
from pie_framework.errors import RunError
from pie_framework.files.io import load_tensors, write_json
from pie_framework.runs.edit_files import caption_lines, save_edit, write_report, write_sheet
from pie_framework.runs.folder import Manifest, RunFolder
from pie_framework.testing.toys import TOY_LAYOUT, toy_networks


@pytest.fixture
def networks() -> Networks:
    return toy_networks(dtype=torch.float64)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder.create(tmp_path / "run")
    folder.keep()
    folder.write_manifest(Manifest(config={}, inputs=["photo.jpg"]))
    for name in ("input.png", "reconstruction.png"):
        folder.write_picture(name, torch.zeros(3, 16, 16))
    return folder


def results(networks: Networks, *texts: str, name: str) -> list[EditResult]:
    latent = networks.generator.sample(1, torch.Generator().manual_seed(0)) * 0.1
    return edit(latent, Vocabulary(TOY_LAYOUT).parse(texts, name), networks)


def test_one_edit(networks: Networks, run: RunFolder) -> None:
    (result,) = results(networks, "rotation.yaw=15", "illumination.from=left", name="turn")
    files = save_edit(run.file("edits"), [result], "turn")
    assert {path.name for path in run.file("edits").iterdir()} == {
        "turn.png",
        "turn.json",
        "turn.safetensors",
    }
    assert torch.equal(load_tensors(files["latent"])[0]["latent"], result.latent)
    (record,) = run.edits()
    assert record["frames"][0]["picture"] == "turn.png"
    assert record["frames"][0]["readings"][0]["asked"] == pytest.approx(15.0)
    lines = caption_lines(record["frames"][0])
    assert lines[0].startswith("yaw 15.0° → 15.0°")
    assert lines[-1].startswith("identity ")


def test_a_sweep(networks: Networks, run: RunFolder) -> None:
    frames = results(networks, "rotation.yaw=-20:20:5", name="sweep")
    files = save_edit(run.file("edits"), frames, "sweep")
    assert set(files) == {"record", "latent", "strip", "gif", "webp"}
    with Image.open(files["webp"]) as animation:
        assert animation.size == (16, 16)
    assert len(list((run.file("edits") / "sweep_frames").iterdir())) == 5
    assert load_tensors(files["latent"])[0]["latent"].shape[0] == 5
    assert "sweep" in write_report(run).read_text(encoding="utf-8")


def test_sheet_and_report_show_the_edits(networks: Networks, run: RunFolder) -> None:
    before = write_sheet(run)
    with Image.open(before) as sheet:
        narrow = sheet.width
    save_edit(run.file("edits"), results(networks, "expression.smile=0.8", name="smile"), "smile")
    with Image.open(write_sheet(run)) as sheet:
        assert sheet.width > narrow
    page = write_report(run).read_text(encoding="utf-8")
    assert "smile" in page
    assert "0.80" in page


def test_edits_of_several_portraits_do_not_collide(networks: Networks, run: RunFolder) -> None:
    (result,) = results(networks, "rotation.yaw=5", name="turn")
    for index in range(2):
        save_edit(run.file("edits"), [result], "turn", index)
    assert [record["portrait"] for record in run.edits()] == [0, 1]
    assert (run.file("edits") / "turn_01.png").is_file()


def test_damaged_and_foreign_records_are_left_out(run: RunFolder, tmp_path: Path) -> None:
    edits = run.file("edits")
    for name, content in {
        "a": [],
        "b": {"frames": []},
        "c": {"frames": [{"readings": [{}]}]},
        "d": {},
    }.items():
        write_json(edits / f"{name}.json", content)
    (edits / "e.json").write_text("{")
    assert run.edits() == []
    secret = tmp_path / "secret.png"
    Image.new("RGB", (4, 4)).save(secret)
    assert run.edit_file("../../secret.png") is None
    assert run.edit_file(str(secret)) is None
    assert run.edit_file(None) is None


def test_an_edit_needs_frames(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no frames"):
        save_edit(tmp_path, [], "none")
