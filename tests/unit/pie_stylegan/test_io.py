"""Weight files: what is written comes back, and what does not fit is refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pie_framework.errors import AssetError
from pie_stylegan.inverter import Inverter, InverterConfig
from pie_stylegan.io import load_generator, load_inverter, save_generator, save_inverter
from pie_stylegan.stylegan2 import StyleGAN2, StyleGAN2Config
from pie_weights.files import read_weights


def tiny() -> StyleGAN2:
    torch.manual_seed(0)
    return StyleGAN2(
        StyleGAN2Config(resolution=8, latent_dim=6, prior_dim=6, channels=(4, 4), conv_clamp=64.0)
    )


@pytest.mark.parametrize("half", [False, True])
def test_round_trip(tmp_path: Path, half: bool) -> None:
    generator = tiny()
    path = tmp_path / "deeper" / "generator.safetensors"
    save_generator(generator, path, notes={"figures": {"psnr_8": 30.5}}, half=half)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    loaded = load_generator(path)
    assert loaded.config == generator.config
    latent = torch.randn(1, 4, 6)
    image = loaded.synthesize(latent)
    assert image.dtype == torch.float32
    near = 1e-2 if half else 1e-5
    torch.testing.assert_close(image, generator.synthesize(latent), rtol=near, atol=near)
    if not half:
        for name, value in generator.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], value), name
    assert read_weights(path, None).notes == {"figures": {"psnr_8": 30.5}}


def test_inverter_round_trip(tmp_path: Path) -> None:
    torch.manual_seed(0)
    inverter = Inverter(InverterConfig(16, 6, (4, 4, 4)))
    save_inverter(inverter, tmp_path / "i.safetensors", half=False)
    image = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(load_inverter(tmp_path / "i.safetensors")(image), inverter(image))
    with pytest.raises(AssetError, match=r"pie\.stylegan2\.inverter"):
        load_generator(tmp_path / "i.safetensors")


def rewrite(path: Path, *, header: dict[str, Any] | None = None, **changes: torch.Tensor | None) -> None:
    save_generator(tiny(), path)
    tensors = load_file(path)
    for name, tensor in changes.items():
        if tensor is None:
            del tensors[name.replace("__", ".")]
        else:
            tensors[name.replace("__", ".")] = tensor
    base = {"format": "pie.stylegan2", "version": 1, "config": tiny().config.as_dict()}
    save_file(tensors, path, {"pie": json.dumps({**base, **(header or {})})})


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    rewrite(path, blocks__0__const=None)
    with pytest.raises(AssetError, match=r"lacks 1 tensors, first 'blocks\.0\.const'"):
        load_generator(path)
    rewrite(path, stranger=torch.zeros(1))
    with pytest.raises(AssetError, match="'stranger'"):
        load_generator(path)
    rewrite(path, blocks__0__const=torch.zeros(4, 5, 4))
    with pytest.raises(AssetError, match=r"\(4, 5, 4\), not \(4, 4, 4\)"):
        load_generator(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"version": 2}, "version 2"),
        ({"format": "other"}, "'other'"),
        ({"config": {"resolution": 7}}, "cannot be built"),
        ({"config": {"size": 8}}, "cannot be built"),
        ({"config": {"channels": [float("inf"), 4]}}, "cannot be built"),
        ({"config": 3}, "does not say"),
    ],
)
def test_wrong_headers_are_refused(tmp_path: Path, header: dict[str, Any], message: str) -> None:
    path = tmp_path / "g.safetensors"
    rewrite(path, header=header)
    with pytest.raises(AssetError, match=message):
        load_generator(path)


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="does not exist"):
        load_generator(tmp_path / "missing.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not a weight file")
    with pytest.raises(AssetError, match="not in a format that is read here"):
        load_generator(broken)
    save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(AssetError, match="does not say which network"):
        load_generator(tmp_path / "plain.safetensors")


def test_values_that_float16_cannot_hold_are_refused(tmp_path: Path) -> None:
    generator = tiny()
    with torch.no_grad():
        generator.mapping.layers[0].weight.fill_(1e6)
    with pytest.raises(AssetError, match="half=false"):
        save_generator(generator, tmp_path / "g.safetensors")
    save_generator(generator, tmp_path / "g.safetensors", half=False)
    assert load_generator(tmp_path / "g.safetensors").config == generator.config
