from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pie_framework.api import RigNetwork
from pie_framework.errors import AssetError, InputError
from pie_framework.testing.toys import TOY_LAYOUT
from pie_framework.training.weights import read_weights, write_weights
from pie_stylerig.network import RigNet
from pie_stylerig.settings import Architecture

LAYERS, WIDTH = 3, 7


def random_rig(block: str = "expression", hidden: int = 0, seed: int = 0) -> RigNet:
    torch.manual_seed(seed)
    rig = RigNet(TOY_LAYOUT, block, LAYERS, WIDTH, Architecture(code=4, hidden=hidden))
    for weight in rig.parameters():
        torch.nn.init.normal_(weight, 0.0, 0.3)
    size = TOY_LAYOUT.block(block).size
    rig.set_statistics(torch.randn(20, LAYERS, WIDTH) * 2 + 1, torch.randn(20, size) * 0.5 - 0.2)
    return rig


def test_is_the_formula_layer_by_layer() -> None:
    rig = random_rig()
    latent, parameters = torch.randn(5, LAYERS, WIDTH), torch.randn(5, 5)
    assert isinstance(rig, RigNetwork)
    asked = (parameters - rig.block_mean) / rig.block_scale
    moved = []
    for i in range(LAYERS):
        normal = (latent[:, i] - rig.latent_mean) / rig.latent_scale
        code = normal @ rig.encoder.weight[i] + rig.encoder.bias[i]
        d = torch.cat([code, asked], dim=1) @ rig.decoder.weight[i] + rig.decoder.bias[i]
        moved.append(latent[:, i] + d * rig.latent_scale)
    torch.testing.assert_close(rig.rig(latent, parameters), torch.stack(moved, dim=1))


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


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    rig = random_rig(hidden=6)
    rig.save(tmp_path / "rig.safetensors", {"figures": {"missing": 0.2}})
    loaded = RigNet.load(tmp_path / "rig.safetensors")
    assert (loaded.layout, loaded.block, loaded.architecture) == (TOY_LAYOUT, "expression", rig.architecture)
    latent, parameters = torch.randn(2, LAYERS, WIDTH), torch.randn(2, 5)
    torch.testing.assert_close(
        loaded.rig(latent, parameters), rig.rig(latent, parameters), rtol=1e-2, atol=1e-2
    )


def test_shapes_of_another_generator_are_refused() -> None:
    rig = random_rig()
    with pytest.raises(InputError, match="expression rig moves"):
        rig.rig(torch.zeros(1, LAYERS + 1, WIDTH), torch.zeros(1, 5))
    with pytest.raises(InputError, match="takes parameters"):
        rig.rig(torch.zeros(2, LAYERS, WIDTH), torch.zeros(1, 5))


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
