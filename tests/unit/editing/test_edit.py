"""Edits in the toy world, where what is asked for is achieved exactly."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest
import torch

from pie_framework.api import Networks, RigEditor
from pie_framework.editing.controls import Vocabulary
from pie_framework.editing.edit import (
    REACH,
    change_share,
    edit,
    next_strength,
    vocabulary_of,
)
from pie_framework.editing.parameters import (
    Light,
    light_of,
    read_control,
)
from pie_framework.errors import ConfigError, PluginError
from pie_framework.rendering import directional_light
from pie_framework.testing.toys import TOY_LAYOUT, IdentityRig, toy_networks

WORDS = Vocabulary(TOY_LAYOUT)


@pytest.fixture
def networks() -> Networks:
    return toy_networks(dtype=torch.float64)


def portrait(networks: Networks, count: int = 1) -> torch.Tensor:
    rng = torch.Generator().manual_seed(5)
    theta = 0.1 * torch.randn(count, TOY_LAYOUT.size, generator=rng, dtype=torch.float64)
    theta[:, TOY_LAYOUT.slice("illumination")] += directional_light(
        torch.tensor([[0.3, 0.5, 1.0]], dtype=torch.float64), intensity=0.5, ambient=0.6
    )
    return networks.generator.latent(theta)  # type: ignore[attr-defined, no-any-return]


def test_what_is_asked_is_achieved(networks: Networks) -> None:
    texts = ["rotation.yaw=15", "expression.smile=0.8", "expression.blink=0.3", "illumination.from=left"]
    (result,) = edit(portrait(networks), WORDS.parse(texts), networks)
    assert result.asked["rotation.yaw"] == pytest.approx(15.0)
    for reading in result.readings:
        assert reading.achieved == pytest.approx(reading.asked, abs=1e-5)
        assert reading.error == pytest.approx(0.0, abs=1e-4)
    assert set(result.asked) == {
        "rotation.yaw",
        "expression.smile",
        "expression.blink",
        "illumination.direction",
    }
    assert result.latent.shape == portrait(networks).shape
    assert result.image.shape == (1, 3, 16, 16)


def test_nothing_else_changes(networks: Networks) -> None:
    latent = portrait(networks)
    before = networks.generator.theta(latent)  # type: ignore[attr-defined]
    (result,) = edit(latent, WORDS.parse(["rotation.yaw=15"]), networks)
    change = (result.theta - before).abs()[0]
    change[TOY_LAYOUT.index("rotation", "yaw")] = 0.0
    assert float(change.max()) < 1e-5


def test_relative_is_added_to_what_is_shown(networks: Networks) -> None:
    latent = portrait(networks)
    before = read_control(WORDS, "rotation.yaw", networks.generator.theta(latent))  # type: ignore[attr-defined]
    (result,) = edit(latent, WORDS.parse(["rotation.yaw+=10"]), networks)
    assert isinstance(before, float)
    assert result.asked["rotation.yaw"] == pytest.approx(before + 10.0, abs=1e-4)


def test_a_rig_that_does_nothing_achieves_the_original_and_warns(networks: Networks) -> None:
    lazy = Networks(
        generator=networks.generator,
        encoder=networks.encoder,
        face_model=networks.face_model,
        editor=RigEditor({"rotation": IdentityRig(TOY_LAYOUT, "rotation")}),
        features=networks.features,
    )
    (result,) = edit(portrait(lazy), WORDS.parse(["rotation.yaw=20"]), lazy)
    (reading,) = result.readings
    assert reading.achieved == pytest.approx(reading.before, abs=1e-6)
    assert reading.error == pytest.approx(abs(20.0 - float(reading.before)), abs=1e-6)  # type: ignore[arg-type]
    assert result.identity_similarity == pytest.approx(1.0, abs=1e-6)
    assert any("less than half" in warning for warning in result.warnings)


def test_a_half_hearted_rig_goes_half_the_way() -> None:
    networks = toy_networks(strength=0.5, dtype=torch.float64)
    (result,) = edit(portrait(networks), WORDS.parse(["rotation.yaw+=20"]), networks, corrections=0)
    (reading,) = result.readings
    assert reading.error == pytest.approx(10.0, abs=1e-3)


def test_a_sweep_in_one_call_equals_one_by_one(networks: Networks) -> None:
    latent = portrait(networks)
    requests = WORDS.parse(["rotation.yaw=-20:20:5", "expression.smile=0.5"])
    together = edit(latent, requests, networks, chunk=2)
    for request, result in zip(requests, together, strict=True):
        (alone,) = edit(latent, [request], networks)
        torch.testing.assert_close(result.image, alone.image)
        assert result.asked == pytest.approx(alone.asked)


def test_several_portraits(networks: Networks) -> None:
    latents = portrait(networks, 3)
    (request,) = WORDS.parse(["rotation.yaw+=5"])
    results = edit(latents, [request] * 3, networks)
    asked = [result.asked["rotation.yaw"] for result in results]
    assert len(set(asked)) == 3
    with pytest.raises(ConfigError, match="one latent or as many"):
        edit(latents, [request] * 2, networks)


def test_networks_run_once_per_chunk(networks: Networks) -> None:
    latent = portrait(networks)
    edit(latent, WORDS.parse(["rotation.yaw=-20:20:8"]), networks, corrections=0, chunk=8)
    assert networks.generator.calls == 2  # type: ignore[attr-defined]
    assert networks.rigs["rotation"].calls == 1  # type: ignore[attr-defined]
    assert networks.rigs["expression"].calls == 0  # type: ignore[attr-defined]


def test_source_gives_its_blocks(networks: Networks) -> None:
    latents = portrait(networks, 2)
    theta = networks.generator.theta(latents)  # type: ignore[attr-defined]
    requests = WORDS.parse(["source=other.jpg", "source_blocks=[expression,rotation]"])
    (result,) = edit(latents[:1], requests, networks, source_theta=theta[1:])
    for block in ("expression", "rotation"):
        torch.testing.assert_close(TOY_LAYOUT.get(result.theta, block), TOY_LAYOUT.get(theta[1:], block))
    for block in ("identity", "illumination"):
        torch.testing.assert_close(
            TOY_LAYOUT.get(result.theta, block), TOY_LAYOUT.get(theta[:1], block), atol=1e-5, rtol=0
        )
    assert "rotation.yaw" in result.asked
    with pytest.raises(ConfigError, match="source"):
        edit(latents[:1], requests, networks)


def test_outside_the_trained_range_warns(networks: Networks) -> None:
    networks.face_model.ranges = {"rotation.yaw": (-25.0, 25.0)}  # type: ignore[union-attr]
    words = vocabulary_of(networks)
    near, far = edit(portrait(networks), words.parse(["rotation.yaw=25:60:2"]), networks)
    assert not [warning for warning in near.warnings if "trained range" in warning]
    assert any("trained range" in warning for warning in far.warnings)


def test_without_an_editor_there_is_nothing_to_edit(networks: Networks) -> None:
    bare = Networks(generator=networks.generator, encoder=networks.encoder)
    with pytest.raises(ConfigError, match="no editor"):
        vocabulary_of(bare)
    with pytest.raises(ConfigError, match="editor=rig"):
        edit(portrait(networks), WORDS.parse(["rotation.yaw=1"]), bare)


def test_a_block_that_the_editor_does_not_know_is_refused(networks: Networks) -> None:
    smiles = dataclasses.replace(networks, editor=RigEditor({"expression": networks.rigs["expression"]}))
    assert vocabulary_of(smiles).blocks == ("expression",)
    with pytest.raises(ConfigError, match=r"an editor for the block 'rotation'.*expression"):
        edit(portrait(networks), WORDS.parse(["rotation.yaw=1"]), smiles)


class _Broken(IdentityRig):
    """Fails, or gives a latent of another shape."""

    def __init__(self, gives: torch.Tensor | None = None) -> None:
        super().__init__(TOY_LAYOUT, "rotation")
        self.gives = gives

    def rig(self, latent: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
        if self.gives is None:
            raise ArithmeticError("no way")
        return self.gives


@pytest.mark.parametrize(
    ("rig", "message"),
    [
        (_Broken(), r"the rig 'mine' of somewhere failed in rig\(\): ArithmeticError: no way"),
        (_Broken(torch.zeros(2)), r"the rig 'mine' of somewhere gave latent of the shape \(2,\)"),
    ],
)
def test_a_rig_that_fails_in_an_edit_is_named_itself(networks: Networks, rig: _Broken, message: str) -> None:
    origins = {"editor": "the editor 'rig'", "rig.rotation": "the rig 'mine' of somewhere"}
    broken = replace(networks, editor=RigEditor({"rotation": rig}), rigs={}, origins=origins)
    with pytest.raises(PluginError, match=message):
        edit(portrait(networks), WORDS.parse(["rotation.yaw=1"]), broken)


def test_the_result_is_json(networks: Networks) -> None:
    import json

    (result,) = edit(
        portrait(networks), WORDS.parse(["rotation.yaw=15", "illumination.from=right"]), networks
    )
    told = json.loads(json.dumps(result.to_json()))
    assert [reading["control"] for reading in told["readings"]] == ["rotation.yaw", "illumination.direction"]


def test_light_levels_keep_the_rest_and_moved_light_keeps_brightness(networks: Networks) -> None:
    latent = portrait(networks)
    before = light_of(TOY_LAYOUT.get(networks.generator.theta(latent), "illumination"))  # type: ignore[attr-defined]

    def lit(*texts: str) -> Light:
        (result,) = edit(latent, WORDS.parse(texts), networks)
        return light_of(TOY_LAYOUT.get(result.theta, "illumination"))

    brighter = lit("illumination.ambient+=0.2")
    assert brighter.numbers["ambient"] == pytest.approx(before.numbers["ambient"] + 0.2, abs=1e-4)
    assert brighter.numbers["azimuth"] == pytest.approx(before.numbers["azimuth"], abs=1e-2)
    assert brighter.intensity == pytest.approx(before.intensity, abs=1e-4)
    moved = lit("illumination.azimuth=60", "illumination.elevation=10")
    assert (moved.numbers["azimuth"], moved.numbers["elevation"]) == pytest.approx((60.0, 10.0), abs=1e-2)
    total = moved.intensity + moved.numbers["ambient"]
    assert total == pytest.approx(before.intensity + before.numbers["ambient"], abs=1e-4)


def without_recognition(networks: Networks) -> Networks:
    return replace(networks, features={"perceptual": networks.features["perceptual"]})


@pytest.mark.parametrize("strength", [0.45, 0.6, 1.0])
def test_corrections_make_up_for_a_rig_that_stops_half_way(strength: float) -> None:
    networks = without_recognition(toy_networks(strength=strength, dtype=torch.float64))
    latent = networks.generator.sample(1, torch.Generator().manual_seed(5)).double() * 0.1
    requests = vocabulary_of(networks).parse(["rotation.yaw=12", "expression.smile=0.7"])
    once = edit(latent, requests, networks, corrections=0)[0]
    corrected = edit(latent, requests, networks, corrections=1)[0]
    for name, asked in (("rotation.yaw", 12.0), ("expression.smile", 0.7)):
        before = next(r.before for r in once.readings if r.control == name)
        assert isinstance(before, float)
        assert once.achieved[name] == pytest.approx(before + strength * (asked - before), abs=1e-3)
        assert corrected.achieved[name] == pytest.approx(asked, abs=1e-3)
        assert corrected.asked[name] == pytest.approx(asked, abs=1e-3), "the report keeps what was asked for"


def test_a_correction_never_goes_beyond_its_reach() -> None:
    networks = toy_networks(strength=0.01, dtype=torch.float64)
    latent = networks.generator.sample(1, torch.Generator().manual_seed(5)).double() * 0.1
    requests = vocabulary_of(networks).parse(["rotation.yaw=10"])
    result = edit(latent, requests, networks, corrections=3)[0]
    before = result.readings[0].before
    assert isinstance(before, float)
    share = (float(str(result.achieved["rotation.yaw"])) - before) / (10.0 - before)
    assert share == pytest.approx(0.01 * REACH, rel=1e-3)


def test_the_secant_rule_finds_the_strength_of_a_linear_response() -> None:
    zero, one = torch.zeros(3), torch.ones(3)
    share = torch.tensor([0.5, 1.0, -0.2])
    assert next_strength(zero, zero, one, share).tolist() == pytest.approx([2.0, 1.0, REACH])
    assert next_strength(one, share, one, share).tolist() == [1.0, 1.0, 1.0], "no step, no change"


def test_nothing_asked_for_counts_as_achieved() -> None:
    before = torch.zeros(2, 3)
    asked = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    achieved = torch.tensor([[0.3, 0.0, 0.0], [0.5, 9.0, 0.0]])
    assert change_share(before, asked, achieved).tolist() == [1.0, 0.25]


def test_a_correction_never_asks_for_more_than_its_reach() -> None:
    networks = without_recognition(toy_networks(strength=0.1, dtype=torch.float64))
    latent = networks.generator.sample(1, torch.Generator().manual_seed(5)).double() * 0.1
    (request,) = vocabulary_of(networks).parse(["rotation.yaw=12"])
    (corrected,) = edit(latent, [request], networks, corrections=3)
    before = next(r.before for r in corrected.readings)
    assert isinstance(before, float)
    assert corrected.achieved["rotation.yaw"] == pytest.approx(
        before + 0.1 * REACH * (12.0 - before), abs=1e-3
    )


def test_a_correction_that_costs_the_identity_is_not_kept() -> None:
    class Unforgiving:
        """Two pictures show the same person only where they are nearly equal."""

        def __init__(self) -> None:
            self.first: torch.Tensor | None = None

        def features(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"embedding": self.embed(image)}

        def embed(self, image: torch.Tensor) -> torch.Tensor:
            flat = image.flatten(1)
            self.first = flat[:1] if self.first is None else self.first
            angle = (3.0 * (flat - self.first).norm(dim=1)).clamp(max=3.0)
            return torch.stack([angle.cos(), angle.sin()], dim=1)

    toys = toy_networks(strength=0.5, dtype=torch.float64)
    latent = toys.generator.sample(1, torch.Generator().manual_seed(5)).double() * 0.1
    (request,) = vocabulary_of(toys).parse(["rotation.yaw+=30"])
    (once,) = edit(latent, [request], replace(toys, features={"recognition": Unforgiving()}), corrections=0)
    (kept,) = edit(latent, [request], replace(toys, features={"recognition": Unforgiving()}), corrections=2)
    (free,) = edit(latent, [request], without_recognition(toys), corrections=2)
    assert kept.achieved == pytest.approx(once.achieved)
    assert abs(float(free.achieved["rotation.yaw"]) - float(once.achieved["rotation.yaw"])) > 5.0  # type: ignore[arg-type]
