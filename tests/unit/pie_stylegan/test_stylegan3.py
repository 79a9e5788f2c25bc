"""StyleGAN3: the published schedule, parity with golden outputs, equivariance, files, and the component."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.parity import GOLDEN, generator_rows
from pie_framework.api import Generator
from pie_framework.errors import AssetError, ConfigError
from pie_stylegan.component import build_stylegan3
from pie_stylegan.formats import stylegan3_nvidia
from pie_stylegan.formats.nvidia import NvidiaNetwork, read_network
from pie_stylegan.io import load_generator, save_generator
from pie_stylegan.settings import StyleGAN3Settings
from pie_stylegan.stylegan2 import StyleGAN2, StyleGAN2Config
from pie_stylegan.stylegan3 import StyleGAN3, StyleGAN3Config
from pie_stylegan.stylegan3_io import convert, load_stylegan3, save_stylegan3
from pie_weights.untrusted import build as build_module

T32 = GOLDEN / "stylegan3" / "sg3_t_32.pkl"
SMALL: dict[str, object] = {"latent_dim": 16, "prior_dim": 12, "channel_base": 1024, "channel_max": 24}
SMALL["filtered_layers"] = 6


def tiny(kind: str = "t", resolution: int = 16, **others: object) -> StyleGAN3:
    torch.manual_seed(0)
    values = {**SMALL, **others}
    config = StyleGAN3Config.t if kind == "t" else StyleGAN3Config.r
    generator = StyleGAN3(config(resolution, **values))
    with torch.no_grad():
        generator.mapping.w_avg.normal_()
        generator.input.affine.weight.normal_(std=0.1)
        for layer in generator.layers:
            layer.bias.normal_(std=0.1)
            layer.magnitude_ema.uniform_(0.5, 2.0)
    return generator


# ---- architecture --------------------------------------------------------------------------------------------------

PUBLISHED = {
    "t": "L0_36_512 L1_36_512 L2_52_512 L3_52_512 L4_84_512 L5_148_512 L6_148_512 L7_276_323 L8_276_203 L9_532_128 "
    "L10_1044_81 L11_1044_51 L12_1044_32 L13_1024_32 L14_1024_3",
    "r": "L0_36_1024 L1_36_1024 L2_52_1024 L3_52_1024 L4_84_1024 L5_148_1024 L6_148_1024 L7_276_645 L8_276_406 "
    "L9_532_256 L10_1044_161 L11_1044_102 L12_1044_64 L13_1024_64 L14_1024_3",
}


@pytest.mark.parametrize("kind", ["t", "r"])
def test_layers_of_the_published_networks(kind: str) -> None:
    config = getattr(StyleGAN3Config, kind)(1024)
    assert " ".join(config.layer_names()) == PUBLISHED[kind]
    assert config.num_layers == 16
    with torch.device("meta"):
        generator = StyleGAN3(config)
    kernels = {tuple(layer.weight.shape[2:]) for layer in generator.layers[:-1]}
    assert kernels == ({(3, 3)} if kind == "t" else {(1, 1)})
    radial = [layer.down_filter.ndim == 2 for layer in generator.layers[:-1]]
    assert radial == [kind == "r"] * 12 + [False] * 2


def test_impossible_architectures_are_refused() -> None:
    for wrong in (
        {"resolution": 48},
        {"resolution": 1 << 14},
        {"filtered_layers": 2},
        {"channel_max": 0},
        {"margin": -1},
        {"first_cutoff": 9.0},
        {"conv_clamp": -1.0},
        {"oversampling": 100},
    ):
        with pytest.raises(ConfigError, match="StyleGAN3"):
            StyleGAN3Config(**{"resolution": 32, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["t", "r"])
def test_contract(kind: str) -> None:
    generator = tiny(kind).freeze()
    assert isinstance(generator, Generator)
    assert (generator.num_layers, generator.latent_dim, generator.resolution) == (8, 16, 16)
    latent = generator.sample(2, torch.Generator().manual_seed(1))
    assert torch.equal(latent, generator.sample(2, torch.Generator().manual_seed(1)))
    image = generator.synthesize(latent)
    assert image.shape == (2, 3, 16, 16) and image.is_contiguous()
    alone = torch.cat([generator.synthesize(row[None]) for row in latent])
    torch.testing.assert_close(image, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        generator.sample(2, torch.Generator().manual_seed(1), truncation=0.0)[1, 3], generator.mean_latent()
    )
    with pytest.raises(ValueError, match="latent must be"):
        generator.synthesize(latent[:, :3])


def test_frozen_thawed_and_checkpointed_are_the_same_function() -> None:
    generator = tiny("r")
    latent = torch.randn(2, 8, 16, requires_grad=True)

    def gradient() -> tuple[Tensor, Tensor]:
        image = generator.synthesize(latent)
        return image, torch.autograd.grad(image.square().sum(), latent)[0]

    first = gradient()
    generator.freeze()
    second = gradient()
    generator.checkpointing = True
    third = gradient()
    generator.thaw()
    for image, slope in (second, third):
        torch.testing.assert_close(image, first[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(slope, first[1], rtol=1e-3, atol=1e-5)
    generator.synthesize(latent).sum().backward()
    assert all(p.grad is not None for name, p in generator.named_parameters() if "mapping" not in name)


def test_gradient_by_finite_differences() -> None:
    generator = tiny("r", 8, filtered_layers=4, critical_layers=1, channel_max=3).double().freeze()
    latent = torch.randn(1, 6, 16, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(generator.synthesize, (latent,), atol=1e-6, fast_mode=True)


# ---- golden --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [False, True])
def test_golden(frozen: bool) -> None:
    generator = load_stylegan3(T32)
    rows = list(generator_rows("stylegan3/sg3_t_32", generator.freeze() if frozen else generator))
    assert {row.array for row in rows} >= {"ws", "ws_psi07", "img", "img_wplus", "grad_wplus"}
    assert [row for row in rows if not row.ok] == []


def test_computed_filters_are_those_of_the_file() -> None:
    stored = load_stylegan3(T32)
    computed = StyleGAN3(stored.config).state_dict()
    filters = {k: v for k, v in stored.state_dict().items() if k.endswith("_filter")}
    assert len(filters) == 12
    for name, tensor in filters.items():
        torch.testing.assert_close(computed[name], tensor, rtol=0, atol=1e-7)


def test_filters_and_transform_of_the_file_count_and_may_be_absent() -> None:
    network = read_network(T32)
    for name in [n for n in network.state if n.endswith(("_filter", "transform"))]:
        del network.state[name]
    without = read(network)
    latent = torch.randn(1, 8, 64)
    torch.testing.assert_close(
        without.synthesize(latent), load_stylegan3(T32).synthesize(latent), rtol=0, atol=1e-5
    )
    network = read_network(T32)
    network.state["synthesis.L0_36_32.up_filter"] = torch.ones(12) / 12
    with torch.no_grad():
        change = read(network).synthesize(latent) - without.synthesize(latent)
    assert float(change.abs().max()) > 1e-3


# ---- equivariance --------------------------------------------------------------------------------------------------


def moved(turn: float = 0.0, x: float = 0.0, y: float = 0.0) -> Tensor:
    c, s = math.cos(turn), math.sin(turn)
    return torch.tensor([[c, -s, x], [s, c, y], [0.0, 0.0, 1.0]])


def psnr(a: Tensor, b: Tensor) -> float:
    return float(10 * torch.log10((b.max() - b.min()).square() / (a - b).square().mean()))


def smooth(kind: str) -> tuple[StyleGAN3, Tensor]:
    torch.manual_seed(0)
    config = getattr(StyleGAN3Config, kind)
    values = {
        "latent_dim": 16,
        "prior_dim": 16,
        "channel_base": 2048,
        "channel_max": 32,
        "filtered_layers": 8,
    }
    generator = StyleGAN3(config(64, **values)).freeze()
    return generator, generator.sample(1, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["t", "r"])
@torch.no_grad()
def test_moving_the_input_moves_the_image(kind: str) -> None:
    generator, latent = smooth(kind)
    still = generator.synthesize(latent)
    inner = slice(12, -12)
    for pixels in (1, 3, 8):  # one pixel is 1/16 sample of the first layers
        shifted = generator.synthesize(latent, transform=moved(x=pixels / 64, y=-pixels / 64))
        expected = torch.roll(still, (pixels, -pixels), (2, 3))
        assert psnr(shifted[..., inner, inner], expected[..., inner, inner]) > 60


@torch.no_grad()
def test_turning_the_input_turns_the_image_of_configuration_r() -> None:
    generator, latent = smooth("r")
    still = generator.synthesize(latent)
    quarter = generator.synthesize(latent, transform=moved(math.pi / 2))
    assert psnr(quarter, torch.rot90(still, 1, (2, 3))) > 100
    side = torch.arange(64) - 31.5
    disc = side[:, None].square() + side.square() < 24**2
    fidelity = {}
    for kind in ("t", "r"):
        generator, latent = smooth(kind)
        still = generator.synthesize(latent)
        for degrees in (10, 30, 45):
            transform = moved(math.radians(degrees))
            grid = F.affine_grid(transform[None, :2], list(still.shape), align_corners=False)
            expected = F.grid_sample(still, grid, mode="bicubic", align_corners=False)
            turned = generator.synthesize(latent, transform=transform)
            fidelity[kind, degrees] = psnr(turned[..., disc], expected[..., disc])
    assert min(fidelity["r", d] for d in (10, 30, 45)) > 50
    assert max(fidelity["t", d] for d in (30, 45)) < 30


def test_the_stored_transform_is_used() -> None:
    generator = tiny()
    latent = torch.randn(1, 8, 16)
    given = generator.synthesize(latent, transform=moved(0.3, 0.1))
    generator.input.transform.copy_(moved(0.3, 0.1))
    torch.testing.assert_close(generator.synthesize(latent), given)


# ---- files ---------------------------------------------------------------------------------------------------------


def read(network: NvidiaNetwork) -> StyleGAN3:
    checkpoint = stylegan3_nvidia.convert(network, "x.pkl")
    return build_module(lambda: StyleGAN3(checkpoint.config), checkpoint.state, "x.pkl")


def nvidia_of(generator: StyleGAN3) -> NvidiaNetwork:
    """The generator as its pickle would hold it."""
    config = generator.config
    network = NvidiaNetwork("Generator", (), {})
    names = config.layer_names()
    for name, tensor in generator.state_dict().items():
        group, _, rest = name.partition(".")
        if group == "layers":
            index, _, rest = rest.partition(".")
            name = f"synthesis.{names[int(index)]}.{rest}"
        elif group == "input":
            name = f"synthesis.{name}"
        network.state[name.replace("mapping.layers.", "mapping.fc")] = tensor
    arguments = {k: getattr(config, v) for k, v in stylegan3_nvidia.ARGUMENTS.items()}
    network.attributes["synthesis"] = {
        "init_args": (),
        "init_kwargs": {**arguments, "img_channels": 3, "num_fp16_res": 4, "magnitude_ema_beta": 0.999},
    }
    return network


@pytest.mark.parametrize("kind", ["t", "r"])
@pytest.mark.parametrize("others", [{}, {"classes": 5, "mapping_layers": 3, "margin": 4, "conv_clamp": None}])
def test_pickles_of_both_configurations(kind: str, others: dict[str, object]) -> None:
    generator = tiny(kind, **others)
    again = read(nvidia_of(generator))
    assert again.config == generator.config
    latent = torch.randn(1, 8, 16)
    torch.testing.assert_close(again.synthesize(latent), generator.synthesize(latent), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: n.attributes.clear(), "does not say with which arguments"),
        (lambda n: n.attributes["synthesis"]["init_kwargs"].update(img_channels=4), "4 channels"),
        (lambda n: n.attributes["synthesis"]["init_kwargs"].update(num_layers=2.5), "'num_layers' is 2.5"),
        (lambda n: n.attributes["synthesis"]["init_kwargs"].update(channel_max=1 << 40), "channel_max"),
        (lambda n: n.attributes["synthesis"]["init_kwargs"].update(img_resolution=1 << 20), "resolution"),
        (lambda n: n.attributes["synthesis"]["init_kwargs"].update(first_cutoff=math.nan), "cutoff"),
        (lambda n: n.attributes["synthesis"]["init_kwargs"].update(first_stopband=math.inf), "stopband"),
        (lambda n: n.attributes["synthesis"]["init_kwargs"].update(output_scale=math.nan), "output_scale"),
        (lambda n: n.attributes["synthesis"]["init_kwargs"].update(channel_base=64), "lacks"),
        (
            lambda n: n.attributes["synthesis"]["init_kwargs"].update(squeeze=True),
            "'squeeze', which is not known",
        ),
        (lambda n: n.state.pop("mapping.fc0.weight"), "mapping network is damaged"),
        (lambda n: n.state.pop("synthesis.L0_36_24.weight"), "lacks 1 tensors"),
        (lambda n: n.state.update(stranger=torch.zeros(1)), "'stranger'"),
    ],
)
def test_damaged_pickles_are_refused(change: Any, message: str) -> None:
    network = nvidia_of(tiny())
    assert "synthesis.L0_36_24.weight" in network.state
    change(network)
    with pytest.raises(AssetError, match=message):
        read(network)


@pytest.mark.parametrize("half", [False, True])
def test_converted_file_gives_the_same_images(tmp_path: Path, half: bool) -> None:
    target = tmp_path / "g.safetensors"
    conversion = convert(T32, "pickle")
    assert conversion is not None and "StyleGAN3 (T)" in conversion.architecture
    conversion.write(target, half)
    generator, again = load_stylegan3(T32), load_stylegan3(target)
    assert again.config == generator.config
    latent = generator.sample(2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        first, second = generator.synthesize(latent), again.synthesize(latent)
    if half:
        assert float((first - second).abs().max()) < 0.01
    else:
        torch.testing.assert_close(second, first, rtol=1e-4, atol=1e-5)
        for name, value in generator.state_dict().items():
            assert torch.equal(again.state_dict()[name], value), name
    assert torch.equal(again.input.freqs, generator.input.freqs)
    once_more = convert(target, "safetensors")
    assert once_more is not None and once_more.use == "generator=stylegan3 generator.weights="
    assert convert(GOLDEN / "stylegan3" / "sg2_from_sg3repo_64.pkl", "pickle") is None


def test_each_generator_names_the_other(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="generator=stylegan2"):
        load_stylegan3(GOLDEN / "stylegan3" / "sg2_from_sg3repo_64.pkl")
    path = tmp_path / "g.safetensors"
    save_stylegan3(tiny(), path)
    with pytest.raises(AssetError, match="generator=stylegan3"):
        load_generator(path)
    save_generator(StyleGAN2(StyleGAN2Config(8, 6, 6, (4, 4))), path)
    with pytest.raises(AssetError, match="generator=stylegan2"):
        load_stylegan3(path)
    with pytest.raises(AssetError, match="holds no StyleGAN3"):
        load_stylegan3(GOLDEN / "rosinality" / "ros_16.pt")
    with pytest.raises(AssetError, match=r"missing\.pkl"):
        load_stylegan3(tmp_path / "missing.pkl")


# ---- component -----------------------------------------------------------------------------------------------------


def context(dtype: torch.dtype = torch.float32) -> Any:
    return SimpleNamespace(device=torch.device("cpu"), dtype=dtype, asset=str)


def test_component() -> None:
    settings = StyleGAN3Settings(str(T32), truncation=0.7, checkpointing=True)
    generator = build_stylegan3(settings, context())
    assert not any(p.requires_grad for p in generator.parameters()) and generator.checkpointing
    plain = load_stylegan3(T32)
    torch.testing.assert_close(
        generator.sample(1, torch.Generator().manual_seed(3)),
        plain.sample(1, torch.Generator().manual_seed(3), truncation=0.7),
    )
    assert (
        build_stylegan3(settings, context(torch.float64))
        .synthesize(torch.zeros(1, 8, 64, dtype=torch.float64))
        .dtype
        == torch.float64
    )
    coarse = build_stylegan3(StyleGAN3Settings(str(T32), "bfloat16"), context())
    latent = generator.sample(1, torch.Generator().manual_seed(3))
    image = generator.synthesize(latent)
    assert float((coarse.synthesize(latent) - image).abs().max()) < 0.05 * float(image.abs().max())
    with pytest.raises(ConfigError, match="weights"):
        build_stylegan3(StyleGAN3Settings(), context())


def test_conditional_networks_need_a_class(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    save_stylegan3(tiny(classes=3), path)
    with pytest.raises(ConfigError, match=r"conditional with 3 classes.*class_index"):
        build_stylegan3(StyleGAN3Settings(str(path)), context())
    with pytest.raises(ConfigError, match="not conditional"):
        build_stylegan3(StyleGAN3Settings(str(T32), class_index=1), context())
    generators = [build_stylegan3(StyleGAN3Settings(str(path), class_index=k), context()) for k in (0, 2)]
    a, b = (g.sample(1, torch.Generator().manual_seed(0)) for g in generators)
    assert not torch.equal(a, b)


def test_copies_and_moves() -> None:
    generator = tiny().freeze()
    latent = torch.randn(1, 8, 16)
    torch.testing.assert_close(copy.deepcopy(generator).synthesize(latent), generator.synthesize(latent))
    assert generator.double().synthesize(latent.double()).dtype == torch.float64


def test_truncated_pickles_give_one_error(tmp_path: Path) -> None:
    data, path = T32.read_bytes(), tmp_path / "cut.pkl"
    for part in range(0, 50, 7):
        path.write_bytes(data[: len(data) * part // 50])
        with pytest.raises(AssetError):
            load_stylegan3(path)
