"""StyleGAN2 checkpoints of other programs give what those programs compute (limits of tests/golden)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.parity import GOLDEN, STYLEGAN2, generator_rows
from pie_framework.errors import AssetError, ConfigError
from pie_stylegan.formats import nvidia, rosinality, stylegan2_nvidia
from pie_stylegan.formats.reading import build_generator, read_generator
from pie_stylegan.io import load_generator, save_generator
from pie_stylegan.stylegan2 import StyleGAN2, StyleGAN2Config
from tests.unit.pie_weights.untrusted import assembly as asm


@pytest.mark.parametrize("name", STYLEGAN2)
@pytest.mark.parametrize("frozen", [False, True])
def test_golden(name: str, frozen: bool) -> None:
    generator = load_generator(GOLDEN / name)
    rows = list(generator_rows(name.rpartition(".")[0], generator.freeze() if frozen else generator))
    assert len(rows) >= 5
    assert [row for row in rows if not row.ok] == []


def test_the_name_of_the_file_does_not_matter(tmp_path: Path) -> None:
    for name in STYLEGAN2:
        copy = tmp_path / "weights.jpg"
        copy.write_bytes((GOLDEN / name).read_bytes())
        assert read_generator(copy).config == read_generator(GOLDEN / name).config


@pytest.mark.parametrize("name", STYLEGAN2)
@pytest.mark.parametrize("half", [False, True])
def test_converted_files_give_the_same_images(tmp_path: Path, name: str, half: bool) -> None:
    generator = load_generator(GOLDEN / name)
    save_generator(generator, tmp_path / "g.safetensors", half=half)
    again = load_generator(tmp_path / "g.safetensors")
    latent = generator.sample(2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        first, second = generator.synthesize(latent), again.synthesize(latent)
    if half:
        assert float((first - second).abs().max()) < 0.05
    else:
        for name, value in generator.state_dict().items():
            assert torch.equal(again.state_dict()[name], value), name
        torch.testing.assert_close(second, first, rtol=1e-4, atol=1e-5)


# ---- architectures that no golden file has: the same weights under both programs' names ----------------------------


def nvidia_of(generator: StyleGAN2) -> nvidia.NvidiaNetwork:
    """The generator as its pickle would hold it."""
    config, own = generator.config, dict(generator.state_dict())
    network = nvidia.NvidiaNetwork("Generator", (), {})
    for k in range(config.mapping_layers):
        for part in ("weight", "bias"):
            network.state[f"mapping.fc{k}.{part}"] = own.pop(f"mapping.layers.{k}.{part}")
        network.attributes[f"mapping.fc{k}"] = {"activation": "lrelu", "bias_gain": 0.01}
    taps = torch.tensor(config.resample_taps)
    kernel = taps[:, None] * taps[None] / taps.sum() ** 2
    for name, tensor in own.items():
        if name.startswith("mapping."):
            network.state[name] = tensor
            continue
        _, index, rest = name.split(".", 2)
        block = f"synthesis.b{4 << int(index)}"
        network.state[f"{block}.{rest}"] = tensor
        network.state[f"{block}.resample_filter"] = kernel
        layer = rest.partition(".")[0]
        if layer in stylegan2_nvidia.LAYERS:
            network.attributes[f"{block}.{layer}"] = {"activation": "lrelu", "conv_clamp": config.conv_clamp}
            if layer == "torgb":
                del network.attributes[f"{block}.{layer}"]["activation"]
    return network


CONFIG = StyleGAN2Config(16, 12, 10, (8, 6, 4), 3)
VARIANTS = {
    "skip": CONFIG,
    "resnet": dataclasses.replace(CONFIG, architecture="resnet"),
    "orig": dataclasses.replace(CONFIG, architecture="orig", conv_clamp=64.0),
    "taps2": dataclasses.replace(CONFIG, resample_taps=(0.5, 0.5)),
    "taps6": dataclasses.replace(CONFIG, resample_taps=(0.0625, 0.1875, 0.25, 0.25, 0.1875, 0.0625)),
    "conditional": dataclasses.replace(CONFIG, classes=4),
    "wide mapping": dataclasses.replace(CONFIG, mapping_hidden=20, classes=3, embed_dim=7),
    "one mapping layer": dataclasses.replace(CONFIG, mapping_layers=1),
}


def made(config: StyleGAN2Config) -> StyleGAN2:
    torch.manual_seed(1)
    generator = StyleGAN2(config)
    with torch.no_grad():
        for name, value in generator.named_parameters():
            if name.endswith("noise_strength"):
                value.fill_(0.1)
        generator.mapping.w_avg.normal_()
    return generator


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("key", ["G_ema", "G", None])
def test_every_architecture_is_recognised(tmp_path: Path, variant: str, key: str | None) -> None:
    generator = made(VARIANTS[variant])
    network = nvidia_of(generator)
    path = tmp_path / "network.pkl"
    path.write_bytes(asm.nvidia(network.state, network.attributes, key=key))
    checkpoint = read_generator(path)
    assert checkpoint.config == generator.config
    assert checkpoint.notes["network"] == (key or "(bare)")
    again = build_generator(checkpoint, path)
    latent = torch.randn(2, 6, 12)
    torch.testing.assert_close(again.synthesize(latent), generator.synthesize(latent), rtol=1e-4, atol=1e-5)


def upfirdn(x: Tensor, kernel: Tensor, pad: tuple[int, int]) -> Tensor:
    """Zeros between the pixels, zeros around, filter with gain 4: the definition, pixel by pixel."""
    b, c, h, w = x.shape
    spread = torch.zeros(b, c, 2 * h, 2 * w, dtype=x.dtype)
    spread[..., ::2, ::2] = x
    spread = torch.nn.functional.pad(spread, (*pad, *pad))
    k = len(kernel)
    out = torch.zeros(b, c, spread.shape[2] - k + 1, spread.shape[3] - k + 1, dtype=x.dtype)
    for i in range(k):
        for j in range(k):
            out += kernel[i, j] * 4 * spread[:, :, i : i + out.shape[2], j : j + out.shape[3]]
    return out


@pytest.mark.parametrize("variant", ["resnet", "orig", "taps2", "taps6"])
def test_architectures_by_their_definition(variant: str) -> None:
    generator = made(VARIANTS[variant]).double()
    config = generator.config
    latent = torch.randn(2, 6, 12, dtype=torch.float64)
    taps = torch.tensor(config.resample_taps, dtype=torch.float64)
    taps = taps / taps.sum()
    kernel, k = taps[:, None] * taps[None], len(taps)

    def layer(conv: Any, x: Tensor, w: Tensor, gain: float = 1.0) -> Tensor:
        style = w @ conv.affine.weight.t() / 12**0.5 + conv.affine.bias
        weight = conv.weight[None] * style[:, None, :, None, None]
        weight = weight / (weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).sqrt()
        if conv.up == 2:
            rows = [
                torch.nn.functional.conv_transpose2d(x[i : i + 1], weight[i].transpose(0, 1), stride=2)
                for i in range(len(x))
            ]
            pad = ((k + 1) // 2 - 1, (k - 2) // 2)
            y = torch.nn.functional.pad(torch.cat(rows), (*pad, *pad))
            y = torch.nn.functional.conv2d(y.flatten(0, 1)[:, None], kernel[None, None] * 4).unflatten(
                0, y.shape[:2]
            )[:, :, 0]
        else:
            y = torch.cat(
                [torch.nn.functional.conv2d(x[i : i + 1], weight[i], padding=1) for i in range(len(x))]
            )
        y = y + conv.noise_const * conv.noise_strength + conv.bias[None, :, None, None]
        y = torch.nn.functional.leaky_relu(y, 0.2) * 2**0.5 * gain
        return y if conv.conv_clamp is None else y.clamp(-conv.conv_clamp * gain, conv.conv_clamp * gain)

    around = ((k + 1) // 2, (k - 2) // 2)
    x, image, at = generator.blocks[0].const[None].expand(2, -1, -1, -1), None, 0
    for number, block in enumerate(generator.blocks):
        gain = 0.5**0.5 if config.architecture == "resnet" and number else 1.0
        other: Tensor | float = 0.0
        if config.architecture == "resnet" and number:
            other = torch.nn.functional.conv2d(upfirdn(x, kernel, around), block.skip.weight)
            other = other * gain / x.shape[1] ** 0.5
        if number:
            x = layer(block.conv0, x, latent[:, at])
            at += 1
        x = layer(block.conv1, x, latent[:, at], gain) + other
        at += 1
        if block.torgb is not None:
            style = latent[:, at] @ block.torgb.affine.weight.t() / 12**0.5 + block.torgb.affine.bias
            style = style / x.shape[1] ** 0.5
            colour = torch.einsum("bchw,oc,bc->bohw", x, block.torgb.weight[:, :, 0, 0], style)
            colour = colour + block.torgb.bias[None, :, None, None]
            image = colour if image is None else upfirdn(image, kernel, around) + colour
    assert image is not None
    torch.testing.assert_close(generator.synthesize(latent), image, rtol=1e-9, atol=1e-9)


def test_smaller_images_exist_with_skip_connections_only() -> None:
    with pytest.raises(ValueError, match="no smaller images"):
        made(VARIANTS["resnet"]).synthesize_pyramid(torch.randn(1, 6, 12), up_to=8)


# ---- conditional networks ------------------------------------------------------------------------------------------


def test_a_conditional_network_needs_a_class() -> None:
    generator = made(VARIANTS["conditional"])
    z = torch.randn(2, 10)
    with pytest.raises(ConfigError, match=r"conditional with 4 classes.*class_index to 0 \.\.\. 3"):
        generator.map(z)
    with pytest.raises(ConfigError, match="has 4 classes"):
        generator.mapping.choose_class(4)
    with pytest.raises(ConfigError, match="not conditional"):
        made(CONFIG).mapping.choose_class(0)
    generator.mapping.choose_class(2)
    embed = generator.mapping.embed
    assert embed is not None

    def normal(x: Tensor) -> Tensor:
        return x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()

    label = embed.weight[:, 2] / 4**0.5 + embed.bias
    x = torch.cat([normal(z), normal(label[None]).expand(2, -1)], dim=1)
    for layer in generator.mapping.layers:
        x = layer(x)
    torch.testing.assert_close(generator.map(z)[:, 0], x)


# ---- rosinality's variants -----------------------------------------------------------------------------------------


@pytest.fixture
def ros() -> dict[str, Any]:
    content: dict[str, Any] = torch.load(GOLDEN / "rosinality" / "ros_16.pt", weights_only=True)
    return content


def test_bare_wrapped_and_legacy_state_dicts(tmp_path: Path, ros: dict[str, Any]) -> None:
    import argparse

    path = tmp_path / "r.pt"
    latent = torch.randn(1, 6, 32)
    expected = load_generator(GOLDEN / "rosinality" / "ros_16.pt").synthesize(latent)
    wrapped = {f"module.{k}": v for k, v in ros["g_ema"].items()}
    for content in (
        ros["g_ema"],
        {"g": wrapped, "args": argparse.Namespace(size=16), "d": {}},
        {"g_ema": ros["g_ema"]},
    ):
        for zipped in (True, False):
            torch.save(content, path, _use_new_zipfile_serialization=zipped)
            generator = load_generator(path)
            torch.testing.assert_close(generator.synthesize(latent), expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        mean = generator.mapping(torch.randn(20_000, 32, generator=torch.Generator().manual_seed(9))).mean(
            dim=0
        )
    error = float((mean - generator.mean_latent()).norm() / mean.norm())
    assert error < 0.05, "the mean of w is estimated where the file has none"


def test_files_of_rosinality_without_blur_kernels_or_noise(tmp_path: Path, ros: dict[str, Any]) -> None:
    path = tmp_path / "r.pt"
    full = load_generator(GOLDEN / "rosinality" / "ros_16.pt")
    state = {k: v for k, v in ros["g_ema"].items() if not k.endswith("kernel") and not k.startswith("noises")}
    torch.save(state, path)
    latent = torch.randn(1, 6, 32)
    made_ = load_generator(path)
    torch.testing.assert_close(made_.synthesize(latent), full.synthesize(latent, noise_mode="none"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("convs.1.conv.weight"), "lacks the tensor 'convs.1.conv.weight'"),
        (lambda s: s.update(stranger=torch.zeros(2)), "first 'stranger'"),
        (lambda s: s.update({"conv1.conv.weight": torch.zeros(1, 32, 32, 3, 3).long()}), "floating-point"),
        (lambda s: s.update({"style.1.weight": torch.full((32, 32), torch.nan)}), "not finite"),
        (lambda s: s.update({"convs.0.conv.weight": torch.zeros(1, 32, 31, 3, 3)}), r"31.* not \(32, 32"),
        (lambda s: s.pop("input.input"), "without a StyleGAN2 generator"),
    ],
)
def test_damaged_state_dicts_are_refused(
    tmp_path: Path, ros: dict[str, Any], change: Any, message: str
) -> None:
    change(ros["g_ema"])
    torch.save(ros, tmp_path / "r.pt")
    with pytest.raises(AssetError, match=message):
        load_generator(tmp_path / "r.pt")


def test_stylegan3_is_sent_to_its_own_component() -> None:
    with pytest.raises(AssetError, match="generator=stylegan3"):
        load_generator(GOLDEN / "stylegan3" / "sg3_t_32.pkl")
    assert rosinality.find({"a": 1}) is None
