"""`pie train backbone`: which words are its own, and what the folder ends up saying."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pie_framework.api import Component, Kind
from pie_framework.cli.main import main
from pie_framework.composition.backbone import read
from pie_framework.composition.compose import compose
from pie_framework.errors import ConfigError
from pie_framework.plugins import Registry, discover
from pie_training import backbone as chain
from tests.conftest import Install


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover()


class Calls:
    """Stands for `pie train encoder` and `pie train rig`: keeps what they were called with."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.made: list[tuple[str, list[str]]] = []

    def __call__(self, trainer: Component, overrides: Sequence[str], registry: Registry) -> int:
        self.made.append((trainer.name, list(overrides)))
        return self.status


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    found = Calls()
    monkeypatch.setattr(chain, "train", found)
    return found


def test_the_words_are_divided(registry: Registry) -> None:
    settings, composed = chain.split(
        ["face_model=procedural", "seconds=60", "recipe.rig.pool=8", "device=cpu", "rig_steps=5"], registry
    )
    assert (settings.seconds, settings.rig_steps, settings.recipe) == (60, 5, {"rig": {"pool": 8}})
    assert [str(o) for o in composed] == ["face_model=procedural", "device=cpu"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("secnds=3", "Did you mean 'seconds'"),
        ("face_modle=ict", "Did you mean 'face_model'"),
        ("recipe.rigg.pool=3", "there is no setting .recipe.rigg.*Did you mean .rig."),
        ("recipe.rig=3", "recipe.rig: one value was given where a group is expected"),
        ("seconds=0", "above 0"),
        ("rig_steps=-1", "at least 0"),
        ("seconds", "not KEY=VALUE"),
    ],
)
def test_words_that_are_neither(registry: Registry, word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        chain.split([word], registry)


def test_encoder_then_rigs_then_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my gan.pkl").write_bytes(b"")
    words = ['generator.weights="my gan.pkl"', "output=out", "encoder_steps=3", "seconds=90", "device=cpu"]
    assert main(["train", "backbone", *words]) == 0
    (first, encoder), (second, rig) = calls.made
    assert (first, second) == ("encoder", "rig")
    weights = f'generator.weights="{tmp_path / "my gan.pkl"}"'
    assert weights in encoder and weights in rig
    assert {"steps=3", "seconds=0", "output=out/encoder", "device=cpu"} <= set(encoder)
    assert {"steps=0", "seconds=60", "output=out/rig", "device=cpu"} <= set(rig)
    assert f"encoder.weights={tmp_path / 'out/encoder/encoder.safetensors'}" in rig
    assert "blocks=[rotation,expression,illumination]" in rig
    said = {o.key: o.value for o in read("out")}
    assert said["generator.weights"] == f'"{tmp_path / "my gan.pkl"}"'
    assert said["encoder.weights"] == str(tmp_path / "out/encoder/encoder.safetensors")
    assert said["rig.expression.weights"] == str(tmp_path / "out/rig/rig_expression.safetensors")
    assert (said["inverter"], said["init"], said["aligner.framing"]) == ("none", "mean", "ffhq")
    assert "device" not in said
    assert "pie run backbone=out input=photo.jpg" in capsys.readouterr().out


def test_every_local_file_is_kept_with_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: Calls
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {
        "face_model.path": "flame.pkl",
        "face_model.landmarks": "embedding.npy",
        "landmarks.model": "face.task",
        "features.perceptual.heads": "heads.pth",
    }
    for name in (*files.values(), "mediapipe"):
        (tmp_path / name).write_bytes(b"")
    groups = ["face_model=flame", "landmarks=mediapipe", "features/perceptual=vgg16"]
    words = [*groups, "features.perceptual.weights=asset://vgg16-imagenet"]
    assert main(["train", "backbone", *words, *(f"{k}={v}" for k, v in files.items()), "output=out"]) == 0
    said = {o.key: o.value for o in read("out")}
    assert {key: said[key] for key in files} == {key: str(tmp_path / v) for key, v in files.items()}
    assert said["landmarks"] == "mediapipe", "a group is no file, whatever lies in the folder"
    assert said["features.perceptual.weights"] == "asset://vgg16-imagenet"


def test_a_foreign_generator_without_an_aligner_has_no_framing(tmp_path: Path, calls: Calls) -> None:
    words = ["generator=stylegan2", "aligner=none", f"output={tmp_path / 'out'}"]
    assert main(["train", "backbone", *words]) == 0
    assert "aligner.framing" not in {o.key for o in read(tmp_path / "out")}
    assert compose([f"backbone={tmp_path / 'out'}"]).aligner.name == "none"


def test_nothing_is_a_value_of_a_recipe_too(tmp_path: Path) -> None:
    settings = chain.BackboneSettings(recipe={"rig": {"pairs": None, "weights": {"edit": 2}}})
    assert chain._recipe(settings, Kind.RIG, tmp_path)[-2:] == ["pairs=null", "weights.edit=2"]


def test_a_named_encoder_is_taken_as_it_is(tmp_path: Path, calls: Calls) -> None:
    words = ["encoder=mofa", f"output={tmp_path / 'out'}", "blocks=[rotation]", "init=nearest"]
    assert main(["train", "backbone", *words]) == 0
    assert [name for name, _ in calls.made] == ["rig"]
    said = {o.key: o.value for o in read(tmp_path / "out")}
    assert said["encoder"] == "mofa" and "encoder.weights" not in said
    assert [key for key in said if key.startswith("rig.")] == ["rig.rotation.name", "rig.rotation.weights"]
    assert said["init"] == "nearest"
    assert "inverter" not in said and "aligner.framing" not in said, "the bundled generator keeps its own"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("recipe.rig.pol=3", "recipe.rig: there is no setting 'pol'.*Did you mean 'pool'"),
        ("recipe.rig.pool=many", "recipe.rig.*pool"),
        ("recipe.encoder.samples.cout=3", "recipe.encoder.*cout"),
    ],
)
def test_settings_of_both_recipes_are_checked_before_anything_is_trained(
    tmp_path: Path, calls: Calls, capsys: pytest.CaptureFixture[str], word: str, said: str
) -> None:
    assert main(["train", "backbone", f"output={tmp_path / 'out'}", word]) == 2
    assert re.search(said, capsys.readouterr().err)
    assert not calls.made and not (tmp_path / "out").exists()


def test_what_a_folder_cannot_say_is_found_before_anything_is_trained(
    tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GAN", "x.pkl")
    assert main(["train", "backbone", f"output={tmp_path / 'out'}", "generator.weights=${oc.env:GAN}"]) == 2
    assert "interpolation" in capsys.readouterr().err
    assert not calls.made


def test_resume_goes_on_with_what_was_started(tmp_path: Path, calls: Calls) -> None:
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder/state.pt").write_bytes(b"")
    assert main(["train", "backbone", "resume=true", f"output={tmp_path}"]) == 0
    (_, encoder), (_, rig) = calls.made
    assert "resume=true" in encoder and "resume=false" in rig


@pytest.mark.parametrize("there", ["backbone.yaml", "encoder/state.pt", "rig/state.pt"])
def test_what_was_trained_is_not_written_over(
    tmp_path: Path, calls: Calls, capsys: pytest.CaptureFixture[str], there: str
) -> None:
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_text("hours of work")
    assert main(["train", "backbone", f"output={tmp_path}"]) == 2
    assert "resume=true" in capsys.readouterr().err
    assert not calls.made
    assert main(["train", "backbone", f"output={tmp_path}", "resume=true"]) == 0


def test_a_folder_that_cannot_be_made_is_found_first(
    tmp_path: Path, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["train", "backbone", f"output={tmp_path / 'file'}"]) == 2
    assert "is not a folder. Choose another output=" in capsys.readouterr().err
    assert not calls.made


def test_only_the_first_of_several_processes_writes(
    tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert main(["train", "backbone", f"output={tmp_path / 'out'}"]) == 0
    assert len(calls.made) == 2 and not (tmp_path / "out").exists()
    assert capsys.readouterr().out == ""


def test_nothing_is_written_when_a_recipe_fails(tmp_path: Path, calls: Calls) -> None:
    calls.status = 3
    assert main(["train", "backbone", f"output={tmp_path / 'out'}"]) == 3
    assert len(calls.made) == 1
    assert not (tmp_path / "out").exists()


FOREIGN = """
from dataclasses import dataclass
from typing import ClassVar
from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl
from pie_training import EngineSettings, Product

@dataclass(frozen=True)
class Weights:
    weights: str = ""

@dataclass(frozen=True)
class Recipe(EngineSettings):
    output: str = ""
    product: ClassVar = Product(Kind.ENCODER, "theirs", "net.safetensors")

@hookimpl
def pie_components():
    return [
        Component(Kind.ENCODER, "theirs", "theirs_plugin:run", Weights, "Theirs.", api_version=(1, 1)),
        Component(Kind.TRAINER, "their_encoder", "theirs_plugin:run", Recipe, "Theirs.", api_version=(1, 1)),
    ]

def run(settings, context):
    raise AssertionError
"""


def test_a_foreign_recipe_takes_part(
    tmp_path: Path, calls: Calls, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    """By what it declares: the backbone's encoder is then the component that its weights are for."""
    install("theirs-dist", {"theirs": "theirs_plugin"}, {"theirs_plugin.py": FOREIGN})
    out = tmp_path / "out"
    assert (
        main(["train", "backbone", "encoder_recipe=their_encoder", f"output={out}", "encoder_steps=3"]) == 0
    )
    (first, encoder), (second, rig) = calls.made
    assert (first, second) == ("their_encoder", "rig")
    assert {"steps=3", f"output={out / 'encoder'}"} <= set(encoder)
    weights = f"encoder.weights={out / 'encoder/net.safetensors'}"
    assert {"encoder.name=theirs", weights} <= set(rig)
    chosen = compose([f"backbone={out}"]).encoder
    assert (chosen.name, f"encoder.weights={chosen.weights}") == ("theirs", weights)
    calls.made.clear()
    assert main(["train", "backbone", f"output={tmp_path / 'usual'}"]) == 0
    assert [name for name, _ in calls.made] == ["encoder", "rig"], "the configuration's encoder is mofa"
    for words, said in (
        (["encoder_recipe=rig"], "no recipe 'rig' makes a face encoder"),
        (["encoder_recipe=their_encodr"], "Did you mean 'their_encoder'"),
        (["encoder=mofa", "encoder_recipe=their_encoder"], "is not trained"),
    ):
        assert main(["train", "backbone", f"output={tmp_path / 'no'}", *words]) == 2
        assert said in capsys.readouterr().err


def test_where_no_recipe_or_several_will_do(registry: Registry, install: Install) -> None:
    twin = FOREIGN.replace('Product(Kind.ENCODER, "theirs"', 'Product(Kind.ENCODER, "mofa"')
    install("theirs-dist", {"theirs": "theirs_plugin"}, {"theirs_plugin.py": twin})
    with pytest.raises(
        ConfigError, match=r"2 recipes make a face encoder.*encoder_recipe from encoder, their_encoder"
    ):
        chain.recipe_for(discover(), Kind.ENCODER, "", {"name": "mofa"})
    with pytest.raises(ConfigError, match="no installed recipe makes a rig"):
        chain.recipe_for(Registry(), Kind.RIG, "", {})
    recipe, product = chain.recipe_for(registry, Kind.RIG, "", {"pose": {"name": "other"}})
    assert (recipe.name, product.component) == ("rig", "stylerig"), "the only one"


def test_rigs_cannot_be_named(tmp_path: Path, calls: Calls) -> None:
    registry = discover()
    with pytest.raises(ConfigError, match="the rigs are what is trained"):
        chain.main(["rig=none", f"output={tmp_path}"], registry)
    assert calls.made == []


def test_the_default_folder() -> None:
    settings: dict[str, Any] = {"name": "stylegan2", "weights": "asset://stylegan2-ffhq-1024"}
    assert chain.default_folder(settings, {"name": "ict"}) == "outputs/backbones/stylegan2-ffhq-1024_ict"
    settings["weights"] = "models/ffhq.pkl"
    assert chain.default_folder(settings, {"name": "bfm"}) == "outputs/backbones/ffhq_bfm"


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "backbone", "--help"]) == 0
    assert "recipe.encoder.KEY" in capsys.readouterr().out
    assert main(["train"]) == 0
    assert chain.SUMMARY in capsys.readouterr().out
