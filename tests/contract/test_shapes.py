"""Shapes in signatures are checked in this process, and cost a user nothing."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from jaxtyping import TypeCheckError

from pie_framework.api import Mesh, Rendering, landmark_loss
from pie_framework.optimisation.prior import describe
from pie_framework.testing.toys import ToyInverter, toy_networks
from pie_stylerig.pool import draw_latents, to_bytes
from tests.shapes import PACKAGES, Loader

ROOT = Path(__file__).parents[2]
WORLD = toy_networks()
LATENT, THETA = torch.zeros(2, 4, 44), torch.zeros(2, 44)
RNG = torch.Generator()


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: WORLD.face_model.render(THETA[0], 16), id="an axis is missing"),
        pytest.param(
            lambda: landmark_loss(torch.zeros(2, 6, 2), torch.zeros(1, 6, 2), 8), id="it would broadcast"
        ),
        pytest.param(
            lambda: landmark_loss(torch.zeros(2, 6, 3), torch.zeros(2, 6, 3), 8), id="a number is another"
        ),
        pytest.param(lambda: to_bytes(torch.zeros(3, dtype=torch.int64)), id="integers"),
        pytest.param(lambda: describe(WORLD, LATENT[0]), id="of a decorated function"),
        pytest.param(lambda: WORLD.rigs["rotation"].rig(LATENT, THETA[:1, :3]), id="of a method"),
        pytest.param(
            lambda: Mesh(torch.zeros(2, 5, 3), torch.zeros(4, 3), torch.zeros(2, 5, 3)), id="of a record"
        ),
        pytest.param(
            lambda: Rendering(torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 9), torch.zeros(2, 6, 2)),
            id="two of a record differ",
        ),
    ],
)
def test_a_wrong_shape_is_noticed_where_it_is_given(call: Callable[[], object]) -> None:
    with pytest.raises(TypeCheckError, match="checking the parameters of"):
        call()


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(
            lambda: ToyInverter(
                SimpleNamespace(face_model=WORLD.face_model, latent=lambda theta: theta)
            ).invert(torch.zeros(2, 3, 16, 16)),
            id="of a method",
        ),
        pytest.param(
            lambda: draw_latents(SimpleNamespace(sample=lambda n, rng: LATENT), 3, 0.0, 0.0, RNG),
            id="not as many as asked for",
        ),
    ],
)
def test_a_wrong_shape_is_noticed_where_it_is_given_back(call: Callable[[], object]) -> None:
    with pytest.raises(TypeCheckError, match="checking the return value of"):
        call()


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_test_of_wrong_shapes_can_do_without() -> None:
    assert landmark_loss(torch.zeros(2, 6, 2), torch.zeros(1, 6, 2), 8).shape == (2,)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_left_out(package: str) -> None:
    imported = importlib.import_module(package)
    names = [name for _, name, _ in pkgutil.walk_packages(imported.__path__, f"{package}.")]
    for module in map(importlib.import_module, [package, *names]):
        assert isinstance(module.__loader__, Loader), module.__name__


def test_a_user_imports_no_checker() -> None:
    modules = [*PACKAGES, "pie_framework.optimisation.solver", "pie_energies.edit", "pie_facemodels.flame"]
    code = f"import sys, {', '.join(modules)}\nprint({{'jaxtyping', 'beartype'}} & set(sys.modules))"
    path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=path, check=True)
    assert done.stdout.strip() == "set()"
