"""Backbone folders: what is written is read back, and a file says nothing but what a backbone may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from pie_framework.composition import backbone
from pie_framework.composition.backbone import Override
from pie_framework.composition.compose import compose
from pie_framework.errors import ConfigError


def written(folder: Path, *overrides: str) -> Path:
    backbone.write(folder, [Override.parse(text) for text in overrides], {"seconds": 3})
    return folder


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "a/b.c",
        "with space",
        'quo"te',
        "back\\slash",
        "end\\",
        'two\\\\"x',
        "a=b",
        "a,b",
        "[x]",
        "{y}",
        "größe",
    ],
)
def test_hydra_reads_a_quoted_value_as_the_same_text(value: str) -> None:
    assert compose([f"outputs={backbone.quoted(value)}"]).outputs == value
    assert backbone.unquoted(backbone.quoted(value)) == value


def test_a_backbone_stands_for_its_overrides(tmp_path: Path) -> None:
    folder = written(
        tmp_path / "my backbone",
        "generator.weights=asset://stylegan2-ffhq-1024",
        "encoder.weights={folder}/encoder/encoder.safetensors",
        "rig.rotation.weights={folder}/rig/rig_rotation.safetensors",
        "inverter=none",
        "init=mean",
    )
    config = compose([f"backbone={backbone.quoted(str(folder))}"])
    assert config.generator.weights == "asset://stylegan2-ffhq-1024"
    assert config.encoder.weights == str(folder / "encoder/encoder.safetensors")
    assert config.rig.rotation.weights == str(folder / "rig/rig_rotation.safetensors")
    assert (config.inverter.name, config.init) == ("none", {"name": "mean"})


def test_what_is_given_beside_it_wins(tmp_path: Path) -> None:
    folder = written(tmp_path, "init=mean")
    assert compose([f"backbone={folder}"]).init == {"name": "mean"}
    assert compose(["init=nearest", f"backbone={folder}"]).init == {"name": "nearest", "candidates": 64}


def test_a_group_chosen_anew_keeps_nothing_of_the_folder(tmp_path: Path) -> None:
    folder = written(
        tmp_path, "aligner.framing=ffhq", "encoder.weights={folder}/e.safetensors", "encoder=mofa"
    )
    assert compose([f"backbone={folder}"]).aligner.framing == "ffhq"
    config = compose([f"backbone={folder}", "aligner=none", "encoder=none"])
    assert (config.aligner.name, config.encoder.name) == ("none", "none")


def test_flags_stay_where_they_are(tmp_path: Path) -> None:
    folder = written(tmp_path, "init=mean")
    expanded = backbone.expand(["-m", f"backbone={folder}", "energy=full,synth"])
    assert expanded == ["init=mean", "-m", "energy=full,synth"]
    assert backbone.expand(["-m", "energy=full"]) == ["-m", "energy=full"]


def test_a_moved_folder_still_works(tmp_path: Path) -> None:
    folder = written(tmp_path / "here", "encoder.weights={folder}/encoder.safetensors")
    moved = folder.rename(tmp_path / "there")
    assert compose([f"backbone={moved}"]).encoder.weights == str(moved / "encoder.safetensors")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not describe a backbone"),
        ("{", "not valid YAML"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("format: other\n", "does not describe"),
        ("format: pie.backbone\nversion: 2\n", "version 2"),
        ("format: pie.backbone\nversion: 1\noverrides: init=mean\n", "not a list"),
        ("format: pie.backbone\nversion: 1\noverrides: [3]\n", "not a list"),
        ("format: pie.backbone\nversion: 1\noverrides: ['hydra.job.chdir=true']\n", "does not set"),
        ("format: pie.backbone\nversion: 1\noverrides: ['+generator.x=1']\n", "does not set"),
        ("format: pie.backbone\nversion: 1\noverrides: ['outputs=/tmp']\n", "does not set"),
        ("format: pie.backbone\nversion: 1\noverrides: ['blocks=${oc.env:HOME}']\n", "interpolation"),
        ("format: pie.backbone\nversion: 1\noverrides: ['init.x=${oc.env:HOME}']\n", "interpolation"),
        ("format: pie.backbone\nversion: 1\noverrides: ['init=${oc.env:HOME}']\n", "by its name"),
        ("format: pie.backbone\nversion: 1\noverrides: ['nonsense']\n", "not KEY=VALUE"),
        (r"{format: pie.backbone, version: 1, overrides: ['blocks=$\{oc.env:HOME\}']}", "interpolation"),
        ("format: pie.backbone\nversion: 1\noverrides: ['encoder=../x']\n", "by its name"),
        ("format: pie.backbone\nversion: 1\noverrides: ['encoder=[mofa,../x]']\n", "by its name"),
        ("format: pie.backbone\nversion: 1\noverrides: ['encoder@hydra=mofa']\n", "by its name"),
        ("format: pie.backbone\nversion: 1\noverrides: ['rig/../encoder=mofa']\n", "by its name"),
        ("\udcff", "not UTF-8"),
        ("a: " + "[" * 20000, "not valid YAML"),
    ],
)
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / backbone.FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError, match=message):
        backbone.expand([f"backbone={tmp_path}"])


def test_a_folder_brings_no_configuration_of_its_own(tmp_path: Path) -> None:
    """Hydra calls what a configuration names as `_target_` in its own part."""
    (tmp_path / "more.yaml").write_text(
        "# @package hydra\ncallbacks: {x: {_target_: pathlib.Path, _args_: [x]}}\n"
    )
    up = "../" * 40
    text = f"format: pie.backbone\nversion: 1\noverrides: ['encoder={up[:-1]}{{folder}}/more']\n"
    (tmp_path / backbone.FILE).write_text(text)
    with pytest.raises(ConfigError, match="by its name"):
        compose([f"backbone={tmp_path}"])


def test_a_file_of_any_size_is_not_read(tmp_path: Path) -> None:
    (tmp_path / backbone.FILE).write_text("#" * (backbone.MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="too large"):
        backbone.read(tmp_path)


def test_absent_or_several(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not there"):
        backbone.expand([f"backbone={tmp_path}/none"])
    with pytest.raises(ConfigError, match="one folder"):
        backbone.expand(["backbone=a,b"])
    with pytest.raises(ConfigError, match="one folder"):
        backbone.expand(["backbone=a", "backbone=b"])


def test_writing_refuses_what_reading_would(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not set 'seed'"):
        written(tmp_path, "seed=1")
    assert not (tmp_path / backbone.FILE).exists()


@pytest.mark.parametrize(
    ("overrides", "command"),
    [
        ("generator=stylegan2 generator.weights=x.pkl", "pie train backbone "),
        ("face_model=ict face_model.path=asset://ict-facekit", "pie train backbone "),
        ("generator.weights=my gan.pkl", "pie train backbone "),
        ("encoder=deep3d encoder.weights=x.pth face_model=bfm", "pie train backbone "),
        ("features/perceptual=vgg16 features.perceptual.weights=x.pth", "pie run "),
        ("landmarks=mediapipe", "pie run "),
    ],
)
def test_what_the_bundled_networks_do_not_know_needs_its_own(overrides: str, command: str) -> None:
    assert backbone.command(overrides) == command + overrides
