from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from pie_framework.api import RigNetwork
from pie_framework.errors import AssetError, ConfigError, InputError
from pie_framework.settings import merge
from pie_framework.testing.toys import TOY_LAYOUT
from pie_stylerig.network import LayerLinear, RigNet, build
from pie_stylerig.regression import ridge_regression
from pie_stylerig.settings import Architecture, RigConfig
from pie_weights.files import read_weights, write_weights

LAYERS, WIDTH = 3, 7


def random_rig(block: str = "expression", hidden: int = 0, readout: bool = False, seed: int = 0) -> RigNet:
    torch.manual_seed(seed)
    rig = RigNet(TOY_LAYOUT, block, LAYERS, WIDTH, Architecture(code=4, hidden=hidden, readout=readout))
    for weight in rig.parameters():
        torch.nn.init.normal_(weight, 0.0, 0.3)
    size = TOY_LAYOUT.block(block).size
    rig.set_statistics(torch.randn(20, LAYERS, WIDTH) * 2 + 1, torch.randn(20, size) * 0.5 - 0.2)
    return rig


def by_the_formula(rig: RigNet, latent: Tensor, parameters: Tensor) -> Tensor:
    """ŵ layer by layer: d_i from [l_i, θ^τ], less that from [l_i, F(w)] where the rig reads θ^τ from w."""
    normal = (latent - rig.latent_mean) / rig.latent_scale
    asked = (parameters - rig.block_mean) / rig.block_scale
    read = None
    if rig.readout is not None:
        read = torch.cat(list(normal.unbind(1)), dim=1) @ rig.readout.weight.T + rig.readout.bias
    moved = []
    for i in range(rig.num_layers):
        code = normal[:, i] @ rig.encoder.weight[i] + rig.encoder.bias[i]

        def d(wanted: Tensor, i: int = i, code: Tensor = code) -> Tensor:
            x = torch.cat([code, wanted], dim=1)
            if rig.middle is not None:
                x = x @ rig.middle.weight[i] + rig.middle.bias[i]
                x = torch.where(x > 0, x, x.exp() - 1)
            return x @ rig.decoder.weight[i] + rig.decoder.bias[i]

        change = d(asked) if read is None else d(asked) - d(read)
        moved.append(latent[:, i] + change * rig.latent_scale)
    return torch.stack(moved, dim=1)


@pytest.mark.parametrize("hidden", [0, 6])
@pytest.mark.parametrize("readout", [False, True])
def test_is_the_formula_layer_by_layer(hidden: int, readout: bool) -> None:
    rig = random_rig(hidden=hidden, readout=readout).double()
    latent = torch.randn(5, LAYERS, WIDTH, dtype=torch.float64)
    parameters = torch.randn(5, 5, dtype=torch.float64)
    assert isinstance(rig, RigNetwork)
    found = rig.rig(latent, parameters)
    torch.testing.assert_close(found, by_the_formula(rig, latent, parameters))
    torch.testing.assert_close(rig(latent, parameters), found)
    assert float((found - latent).detach().abs().mean()) > 0.1


def test_layers_are_moved_apart() -> None:
    """Without a readout, layer i of ŵ depends on layer i of w and on what is asked, which all layers share."""
    rig = random_rig(hidden=6)
    latent, parameters = torch.randn(2, LAYERS, WIDTH), torch.randn(2, 5)
    other = latent.clone()
    other[:, 1] += 1.0
    changed = (rig.rig(other, parameters) - rig.rig(latent, parameters)).detach().abs().amax(dim=(0, 2))
    assert changed[1] > 0.1 and changed[[0, 2]].max() < 1e-5
    asked = (rig.rig(latent, parameters + 1) - rig.rig(latent, parameters)).detach().abs().amax(dim=(0, 2))
    assert (asked > 0.1).all()
    reading = random_rig(readout=True)
    changed = (reading.rig(other, parameters) - reading.rig(latent, parameters)).detach().abs()
    assert (changed.amax(dim=(0, 2)) > 0.1).all(), "what is read from w is read from all layers"


def test_a_new_rig_has_no_statistics_and_maps_as_wide_as_their_inputs_ask() -> None:
    torch.manual_seed(0)
    rig = RigNet(TOY_LAYOUT, "rotation", 5, 40, Architecture(code=8, hidden=30, readout=True))
    assert (rig.block, rig.num_layers, rig.latent_dim, rig.made_for) == ("rotation", 5, 40, {})
    assert rig.architecture == Architecture(8, 30, True)
    assert RigNet(TOY_LAYOUT, "rotation", 5, 40).architecture == Architecture() == Architecture(32, 0, False)
    for name, value in {
        "latent_mean": torch.zeros(40),
        "latent_scale": torch.ones(()),
        "block_mean": torch.zeros(3),
        "block_scale": torch.ones(3),
    }.items():
        torch.testing.assert_close(rig.get_buffer(name), value)
    shapes = {name: tuple(value.shape) for name, value in rig.named_parameters()}
    assert shapes == {
        "encoder.weight": (5, 40, 8), "encoder.bias": (5, 8), "middle.weight": (5, 11, 30), "middle.bias": (5, 30),
        "decoder.weight": (5, 30, 40), "decoder.bias": (5, 40), "readout.weight": (3, 200), "readout.bias": (3,),
    }  # fmt: skip
    plain = dict(RigNet(TOY_LAYOUT, "rotation", 5, 40, Architecture(code=8)).named_parameters())
    assert set(plain) == {"encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"}
    assert plain["decoder.weight"].shape == (5, 8 + 3, 40)
    for name in (
        "encoder.bias",
        "middle.bias",
        "decoder.weight",
        "decoder.bias",
        "readout.weight",
        "readout.bias",
    ):
        assert not rig.get_parameter(name).any(), name
    for layer, inputs in ((rig.encoder, 40), (rig.middle, 11)):
        assert isinstance(layer, LayerLinear)
        bound = 1 / math.sqrt(inputs)
        weight = layer.weight.detach()
        assert -bound <= float(weight.min()) < -0.95 * bound and 0.95 * bound < float(weight.max()) <= bound
        assert float(weight.mean()) == pytest.approx(0.0, abs=0.1 * bound)
        assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_statistics_are_those_of_the_samples() -> None:
    rig = random_rig("rotation").double()
    latents = torch.randn(9, LAYERS, WIDTH, dtype=torch.float64) * 3 + torch.arange(7.0)
    parameters = torch.randn(9, 3, dtype=torch.float64) * torch.tensor([0.1, 2.0, 5.0]) + 1
    rig.set_statistics(latents, parameters)
    mean = sum(latents[n, i] for n in range(9) for i in range(LAYERS)) / (9 * LAYERS)
    torch.testing.assert_close(rig.latent_mean, mean)
    torch.testing.assert_close(rig.latent_scale, (latents - mean).square().mean().sqrt())
    torch.testing.assert_close(rig.block_mean, parameters.sum(dim=0) / 9)
    spread = ((parameters - parameters.sum(dim=0) / 9).square().sum(dim=0) / 8).sqrt()
    torch.testing.assert_close(rig.block_scale, spread)


def test_what_does_not_vary_is_not_divided_by_nothing() -> None:
    rig = random_rig("rotation").double()
    rig.set_statistics(torch.full((4, LAYERS, WIDTH), 2.0).double(), torch.full((4, 3), 0.5).double())
    assert float(rig.latent_scale) == pytest.approx(1e-6)
    assert rig.block_scale.tolist() == pytest.approx([1e-3] * 3)
    moved = rig.rig(torch.full((1, LAYERS, WIDTH), 2.0).double(), torch.full((1, 3), 0.5).double())
    assert moved.isfinite().all()


@pytest.mark.parametrize("hidden", [0, 6])
def test_a_new_rig_changes_nothing(hidden: int) -> None:
    rig = RigNet(TOY_LAYOUT, "rotation", LAYERS, WIDTH, Architecture(hidden=hidden))
    latent = torch.randn(4, LAYERS, WIDTH)
    assert torch.equal(rig.rig(latent, torch.randn(4, 3)), latent)


@pytest.mark.parametrize("hidden", [0, 6])
def test_gradients_in_latent_and_parameters(hidden: int) -> None:
    rig = random_rig("rotation", hidden).freeze().double()
    latent = torch.randn(2, LAYERS, WIDTH, dtype=torch.float64, requires_grad=True)
    parameters = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rig.rig, (latent, parameters))


def test_with_a_readout_asking_for_what_was_read_changes_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rig = RigNet(TOY_LAYOUT, "expression", LAYERS, WIDTH, Architecture(code=4, hidden=6, readout=True))
    for weight in rig.parameters():
        torch.nn.init.normal_(weight, 0.0, 0.3)
    latents = torch.randn(300, LAYERS, WIDTH)
    parameters = latents.flatten(1)[:, :5] * 0.5 + 2.0
    rig.set_statistics(latents, parameters)
    assert rig.fit_readout(latents, parameters) < 1e-2
    torch.testing.assert_close(rig.rig(latents, parameters), latents, atol=5e-2, rtol=0)
    assert float((rig.rig(latents, parameters + 1) - latents).detach().abs().mean()) > 0.1
    rig.save(tmp_path / "rig.safetensors")
    assert RigNet.load(tmp_path / "rig.safetensors").architecture.readout


def test_the_readout_is_the_ridge_regression_of_what_is_normalised() -> None:
    rig = random_rig("rotation", readout=True).double()
    latents = torch.randn(60, LAYERS, WIDTH, dtype=torch.float64) * 2 + 1
    parameters = latents.flatten(1)[:, 4:7] * torch.tensor([0.1, 1.0, 4.0]) - 3 + 0.1 * torch.randn(60, 3)
    rig.set_statistics(latents, parameters)
    inputs = ((latents - rig.latent_mean) / rig.latent_scale).flatten(1)
    error, weight, bias = ridge_regression(inputs, (parameters - rig.block_mean) / rig.block_scale)
    assert rig.fit_readout(latents, parameters) == pytest.approx(error)
    assert rig.readout is not None
    torch.testing.assert_close(rig.readout.weight.detach(), weight)
    torch.testing.assert_close(rig.readout.bias.detach(), bias)
    assert random_rig("rotation").fit_readout(latents.float(), parameters.float()) == 1.0, (
        "nothing is explained"
    )


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    rig = random_rig(hidden=6)
    rig.save(tmp_path / "rig.safetensors", {"figures": {"missing": 0.2}})
    loaded = RigNet.load(tmp_path / "rig.safetensors")
    assert (loaded.layout, loaded.block, loaded.architecture) == (TOY_LAYOUT, "expression", rig.architecture)
    latent, parameters = torch.randn(2, LAYERS, WIDTH), torch.randn(2, 5)
    torch.testing.assert_close(
        loaded.rig(latent, parameters), rig.rig(latent, parameters), rtol=1e-2, atol=1e-2
    )


@pytest.mark.parametrize("notes", [None, {}, {"generator": None}, {"generator": {"num_layers": 3}}])
def test_a_rig_knows_the_generator_that_its_file_names(tmp_path: Path, notes: dict[str, Any] | None) -> None:
    path = tmp_path / "rig.safetensors"
    random_rig().save(path, notes)
    assert RigNet.load(path).made_for == ((notes or {}).get("generator") or {})
    file = read_weights(path, "rig")
    assert file.notes == (notes or {})
    assert set(file.architecture) == {
        "code",
        "hidden",
        "readout",
        "block",
        "layout",
        "num_layers",
        "latent_dim",
    }


def test_the_component_is_frozen_on_its_device_in_its_dtype(tmp_path: Path) -> None:
    path = tmp_path / "rig.safetensors"
    random_rig(readout=True).save(path)
    asked: list[str] = []

    def asset(uri: str) -> str:
        asked.append(uri)
        return str(path)

    context = cast(Any, SimpleNamespace(asset=asset, device=torch.device("cpu"), dtype=torch.float64))
    rig = build(RigConfig("asset://mine"), context)
    assert asked == ["asset://mine"]
    assert {value.dtype for value in rig.state_dict().values()} == {torch.float64}
    assert not rig.training and not any(weight.requires_grad for weight in rig.parameters())
    own = random_rig()
    assert own.training and all(weight.requires_grad for weight in own.parameters())
    assert own.freeze() is own and not own.training


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    "shape", [(2, LAYERS + 1, WIDTH), (2, LAYERS, WIDTH + 1), (2, LAYERS * WIDTH), (2, 1, LAYERS, WIDTH)]
)
def test_latents_of_another_generator_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"expression rig moves latents \(B, 3, 7\), not \(2, "):
        random_rig().rig(torch.zeros(shape), torch.zeros(2, 5))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("shape", [(1, 5), (2, 4), (2, 6), (5,), (2, 1, 5)])
def test_parameters_of_another_block_or_batch_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"expression rig takes parameters \(2, 5\), not \("):
        random_rig().rig(torch.zeros(2, LAYERS, WIDTH), torch.zeros(shape))


def test_impossible_architectures() -> None:
    for wrong in ({"code": 0}, {"hidden": -1}):
        with pytest.raises(ConfigError, match="too small"):
            merge(Architecture, wrong)
    assert merge(Architecture, {"code": 1, "hidden": 0}) == Architecture(1, 0)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(AssetError, match="no weight file"):
        RigNet.load(path)
    write_weights(path, "encoder", {}, {"a": torch.zeros(1)})
    with pytest.raises(AssetError, match="encoder"):
        RigNet.load(path)
    write_weights(path, "rig", {"block": "rotation"}, {"a": torch.zeros(1)})
    with pytest.raises(AssetError, match="does not describe"):
        RigNet.load(path)
    random_rig().save(path)
    file = read_weights(path, "rig")
    for wrong in ({"code": 0}, {"more": 1}, {"block": "nowhere"}, {"layout": 3}):
        write_weights(path, "rig", {**file.architecture, **wrong}, file.state)
        with pytest.raises(
            AssetError, match=r"does not describe a rig network|architecture in .* cannot be built"
        ):
            RigNet.load(path)
    random_rig().save(path)
    good = RigNet.load(path)
    good.num_layers += 1
    good.save(path)
    with pytest.raises(AssetError, match=r"is \(\d.*, not \("):
        RigNet.load(path)


@pytest.mark.parametrize("wrong", [{"code": 10**9}, {"num_layers": -1}, {"latent_dim": 2.5}])
def test_a_file_gets_no_network_larger_than_itself(tmp_path: Path, wrong: dict[str, float]) -> None:
    path = tmp_path / "x.safetensors"
    random_rig().save(path)
    file = read_weights(path, "rig")
    write_weights(path, "rig", {**file.architecture, **wrong}, file.state)
    with pytest.raises(AssetError):
        RigNet.load(path)
