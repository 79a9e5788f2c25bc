"""The generator's contract on tiny networks."""

from __future__ import annotations

import pytest
import torch

from pie_framework.errors import ConfigError
from pie_stylegan.stylegan2 import StyleGAN2, StyleGAN2Config


def tiny(resolution: int = 16, **others: object) -> StyleGAN2:
    torch.manual_seed(0)
    blocks = resolution.bit_length() - 2
    values: dict[str, object] = {"latent_dim": 12, "prior_dim": 8, "channels": (8,) * blocks, **others}
    generator = StyleGAN2(StyleGAN2Config(resolution=resolution, **values))  # type: ignore[arg-type]
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.2)
        generator.mapping.w_avg.normal_()
    return generator


@pytest.mark.parametrize("resolution", [8, 16, 64])
def test_shapes_and_number_of_layers(resolution: int) -> None:
    generator = tiny(resolution)
    layers = {8: 4, 16: 6, 64: 10}[resolution]
    assert (generator.num_layers, generator.latent_dim, generator.resolution) == (layers, 12, resolution)
    latent = generator.sample(2, torch.Generator().manual_seed(1))
    assert latent.shape == (2, layers, 12)
    assert generator.mean_latent().shape == (12,)
    image = generator.synthesize(latent)
    assert image.shape == (2, 3, resolution, resolution)
    assert image.dtype == torch.float32


def test_layer_rule_holds_at_the_published_size() -> None:
    config = StyleGAN2Config.standard(1024)
    assert config.num_layers == 18
    assert config.channels == (512, 512, 512, 512, 512, 256, 128, 64, 32)
    assert config.mapping_layers == 8


def test_w_is_w_plus_with_equal_layers() -> None:
    generator = tiny()
    w = torch.randn(2, 12)
    torch.testing.assert_close(generator.synthesize_w(w), generator.synthesize(w[:, None].repeat(1, 6, 1)))


def test_each_layer_matters() -> None:
    generator = tiny()
    latent = torch.randn(1, 6, 12, requires_grad=True)
    (gradient,) = torch.autograd.grad(generator.synthesize(latent).square().sum(), latent)
    assert bool((gradient.abs().amax(dim=(0, 2)) > 0).all())


def test_pyramid_ends_in_the_image_and_stops_early() -> None:
    generator = tiny()
    latent = torch.randn(2, 6, 12)
    pyramid = generator.synthesize_pyramid(latent)
    assert [image.shape[-1] for image in pyramid] == [4, 8, 16]
    torch.testing.assert_close(pyramid[-1], generator.synthesize(latent))
    torch.testing.assert_close(generator.synthesize_pyramid(latent, up_to=8), pyramid[:2])


def test_truncation_moves_towards_the_mean_up_to_the_cutoff() -> None:
    generator = tiny()
    z = torch.randn(3, 8)
    full, mean = generator.map(z), generator.mean_latent()
    torch.testing.assert_close(generator.map(z, truncation=0.0), mean.expand(3, 6, 12))
    half = generator.map(z, truncation=0.5, cutoff=2)
    torch.testing.assert_close(half[:, :2], (full[:, :2] + mean) / 2)
    torch.testing.assert_close(half[:, 2:], full[:, 2:])


def test_mean_latent_is_a_copy() -> None:
    generator = tiny()
    before = generator.mean_latent()
    generator.mean_latent().zero_()
    torch.testing.assert_close(generator.mean_latent(), before)


def test_noise_modes() -> None:
    generator = tiny()
    latent = torch.randn(1, 6, 12)
    const = generator.synthesize(latent)
    torch.testing.assert_close(generator.synthesize(latent), const, rtol=0, atol=0)
    none = generator.synthesize(latent, noise_mode="none")
    assert not torch.allclose(const, none)
    one, same, other = (
        generator.synthesize(latent, noise_mode="random", rng=torch.Generator().manual_seed(s))
        for s in (1, 1, 2)
    )
    torch.testing.assert_close(one, same, rtol=0, atol=0)
    assert not torch.allclose(one, other)
    with pytest.raises(ValueError, match="Generator"):
        generator.synthesize(latent, noise_mode="random")
    with pytest.raises(ValueError, match="noise_mode"):
        generator.synthesize(latent, noise_mode="loud")


def test_sampling_depends_on_the_generator_alone() -> None:
    generator = tiny()
    one, same = (generator.sample(2, torch.Generator().manual_seed(5)) for _ in range(2))
    torch.testing.assert_close(one, same, rtol=0, atol=0)


def test_latent_gradient_is_exact() -> None:
    generator = tiny(8, latent_dim=4, channels=(3, 2)).double().freeze()
    latent = torch.randn(1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(generator.synthesize, (latent,))


def test_frozen_generator_gives_the_same_images_and_no_weight_gradients() -> None:
    generator = tiny()
    latent = torch.randn(2, 6, 12)
    before = generator.synthesize(latent).detach()
    generator.freeze()
    torch.testing.assert_close(generator.synthesize(latent), before)
    torch.testing.assert_close(
        generator.synthesize(latent, noise_mode="none"),
        generator.thaw().synthesize(latent, noise_mode="none"),
    )
    assert not any(p.requires_grad for p in generator.freeze().parameters())


def test_bfloat16_features_stay_close() -> None:
    generator = tiny()
    latent = torch.randn(2, 6, 12)
    exact = generator.synthesize(latent).detach()
    generator.compute_dtype = torch.bfloat16
    rough = generator.synthesize(latent).detach()
    assert rough.dtype == torch.float32
    assert float((rough - exact).abs().max()) < 0.1 * float(exact.abs().max())


def test_wrong_latent_is_named() -> None:
    with pytest.raises(ValueError, match=r"\(B, 6, 12\)"):
        tiny().synthesize(torch.randn(1, 5, 12))


@pytest.mark.parametrize(
    "values", [{"resolution": 24}, {"resolution": 4}, {"channels": (8, 8)}, {"mapping_layers": 0}]
)
def test_impossible_architectures_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        StyleGAN2Config(**values)  # type: ignore[arg-type]
