"""The toy context gives what a factory may ask for and refuses what is not declared; the toys' knobs do their work."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from pie_framework import testing
from pie_framework.api import LatentView
from pie_framework.errors import ComponentError
from pie_framework.testing import toy_context
from pie_framework.testing._context import UndeclaredError
from pie_framework.testing.toys import TOY_LAYOUT, ToyFeatures, ToyRig, toy_networks


def test_everything_is_there() -> None:
    context = toy_context(torch.float64, blocks=("rotation",))
    assert (context.dtype, context.device, context.blocks) == (
        torch.float64,
        torch.device("cpu"),
        ("rotation",),
    )
    generator = context.generator()
    assert generator.sample(1, torch.Generator().manual_seed(0)).dtype == torch.float64
    assert context.get("generator", "stylegan2") is generator
    assert context.get("rig", "rotation").block == "rotation"
    assert context.encoder().layout == TOY_LAYOUT
    assert context.chosen("encoder") == "toy"
    assert context.chosen("rig", "expression") is None
    with pytest.raises(ComponentError, match="block"):
        context.get("rig")
    with pytest.raises(ComponentError, match="expression"):
        context.get("rig", "expression")
    with pytest.raises(ComponentError, match="no trainer"):
        context.get("trainer")
    assert context.asset("pkg://pie_framework/py.typed").endswith("py.typed")


def test_every_role_has_features_of_its_own() -> None:
    context = toy_context()
    depth, other = context.features("depth"), context.features("depht")
    assert isinstance(depth, ToyFeatures)
    assert context.features("depth") is depth
    assert torch.equal(toy_context().get("features", "depth").projection, depth.projection)
    assert not torch.equal(other.projection, depth.projection)


def test_what_is_not_declared_is_refused() -> None:
    context = toy_context(requires=frozenset({"encoder", "features.depth"}))
    context.encoder()
    context.features("depth")
    context.get("generator", "stylegan2")  # by its registered name: does not depend on the run
    for kind, name in (("generator", None), ("rig", "rotation"), ("features", "colour")):
        with pytest.raises(UndeclaredError, match="does not require"):
            context.get(kind, name)
    assert context.chosen("landmarks") == "toy"
    assert context.landmarks() is not None  # optional, as it was asked for with `chosen` first
    assert context.chosen("features", "perceptual") == "toy"
    context.features("perceptual")
    with pytest.raises(UndeclaredError, match=r"features\.colour"):
        context.features("colour")  # another role was asked for first


def test_the_package_imports_no_torch() -> None:
    code = (
        "import sys, pie_framework.testing, pie_framework.testing.toy_plugin; print('torch' in sys.modules)"
    )
    path = f"import sys; sys.path[:0] = {[entry for entry in sys.path if entry]!r}; "
    done = subprocess.run([sys.executable, "-c", path + code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    with pytest.raises(AttributeError, match="toy_contexts"):
        getattr(testing, "toy_contexts")  # noqa: B009


def changes(offset: float, gain: float, strength: float = 1.0) -> torch.Tensor:
    """w - RigNet(w, θ_w^τ), (B, L, D), of some latents."""
    networks = toy_networks(("rotation",), strength, torch.float64, offset, gain)
    latent = networks.generator.sample(3, torch.Generator().manual_seed(4))
    return latent - LatentView(networks, latent).rigged("rotation")


def test_the_offset_is_added_to_every_coordinate() -> None:
    torch.testing.assert_close(changes(0.25, 1.0), torch.full((3, 4, 44), -0.25, dtype=torch.float64))
    assert float(changes(0.0, 1.0).abs().max()) < 1e-6


def test_the_gain_of_the_encoder_makes_identity_depend_on_the_latent() -> None:
    found = changes(0.0, 0.5)
    assert float(found[0].abs().max()) > 0.01
    assert not torch.allclose(found[0], found[1])


def test_defaults_are_as_exact_as_ever() -> None:
    networks = toy_networks(dtype=torch.float64)
    latent = networks.generator.sample(2, torch.Generator().manual_seed(0))
    rig = networks.rigs["expression"]
    assert isinstance(rig, ToyRig)
    image = networks.generator.synthesize(latent)
    theta = networks.need_encoder().encode(image)
    torch.testing.assert_close(theta, rig.generator.theta(latent))
    large = torch.nn.functional.interpolate(image, (32, 32), mode="nearest")
    assert networks.need_encoder().encode(large).shape == theta.shape
