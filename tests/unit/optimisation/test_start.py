"""From portraits and components to what is solved, and where it starts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pie_framework.api import Networks
from pie_framework.errors import ComponentError, ConfigError, PluginError
from pie_framework.optimisation.objective import Objective, WeightedTerm
from pie_framework.optimisation.prior import PriorSampler
from pie_framework.optimisation.problem import Problem
from pie_framework.optimisation.schedule import PriorSettings, Stage
from pie_framework.optimisation.start import make_problem, start_latent
from pie_framework.testing.toys import toy_networks
from pie_optimizers.adam import Adam

STAGE = Stage("w", "w", 3, 0.1)


class Nothing:
    def energy(self, view: Any, target: Any) -> Tensor:
        return view.latent.sum(dim=(1, 2))


def made(networks: Networks, images: Tensor, stages: tuple[Stage, ...] = (STAGE,), **more: Any) -> Problem:
    return make_problem(networks, Objective({"n": WeightedTerm(Nothing())}), images, stages, Adam(), **more)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    "shape",
    [
        (3, 16, 16),
        (1, 1, 3, 16, 16),
        (1, 1, 16, 16),
        (1, 4, 16, 16),
        (1, 3, 8, 16),
        (1, 3, 16, 8),
        (1, 3, 32, 32),
    ],
)
def test_portraits_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"portraits have shape .*the generator makes"):
        made(toy_networks(), torch.zeros(shape))


def test_without_stages_there_is_nothing_to_do() -> None:
    with pytest.raises(ConfigError, match="no stages"):
        made(toy_networks(), torch.zeros(1, 3, 16, 16), ())


def test_v_are_drawn_as_the_settings_say_and_only_where_they_are_needed() -> None:
    networks = toy_networks()
    images = torch.zeros(2, 3, 16, 16)
    assert made(networks, images).draw is None
    settings = PriorSettings(pool=5, per_step=2, blocks_per_step=3)
    for seed in (0, 7):
        more: dict[str, Any] = {"seed": seed} if seed else {}
        found = made(networks, images, prior=settings, blocks=("rotation",), **more)
        assert found.draw is not None
        expected = PriorSampler(networks, seed, per_step=2, pool=5).draw(4)
        assert torch.equal(found.draw(4).latent, expected.latent)
    assert (found.blocks, found.blocks_per_step) == (("rotation",), 3)
    assert made(networks, images).blocks_per_step == 1


def test_known_landmarks_are_the_target_s() -> None:
    points = torch.arange(12.0).view(1, 6, 2)
    assert torch.equal(
        made(toy_networks(), torch.zeros(1, 3, 16, 16), landmarks=points).target.landmarks, points
    )


class Draws:
    """A start that draws, and notes what it was given."""

    def __init__(self, change: tuple[int, int, int] = (0, 0, 0)) -> None:
        self.change = change

    def start(self, networks: Networks, images: Tensor, rng: torch.Generator) -> Tensor:
        g = networks.generator
        self.seed, self.gradients = rng.initial_seed(), torch.is_grad_enabled()
        shape = (len(images), g.num_layers, g.latent_dim)
        return torch.rand([a + b for a, b in zip(shape, self.change, strict=True)], generator=rng)


def test_a_start_draws_from_the_seed_and_needs_no_gradient() -> None:
    networks, images, draws = toy_networks(), torch.zeros(2, 3, 16, 16), Draws()
    found = start_latent(draws, networks, images, 5)
    assert (draws.seed, draws.gradients) == (5, False)
    assert torch.equal(found, torch.rand(2, 4, 44, generator=torch.Generator().manual_seed(5)))
    start_latent(draws, networks, images)
    assert draws.seed == 0


@pytest.mark.parametrize("change", [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)])
def test_a_start_of_another_generator_is_refused(change: tuple[int, int, int]) -> None:
    with pytest.raises(ComponentError, match=r"the start gives latents .*the generator takes \(2, 4, 44\)"):
        start_latent(Draws(change), toy_networks(), torch.zeros(2, 3, 16, 16))


def test_a_start_that_gives_nothing_is_named() -> None:
    class Broken:
        def start(self, networks: Networks, images: Tensor, rng: torch.Generator) -> Any:
            return None

    with pytest.raises(PluginError, match="the component in the role 'init' gave NoneType as the start"):
        start_latent(Broken(), toy_networks(), torch.zeros(1, 3, 16, 16))
