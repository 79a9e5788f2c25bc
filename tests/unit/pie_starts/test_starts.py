"""Where the optimisation starts, in a world where the right answer is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from pie_framework.api import EmptyConfig, Initializer, Networks
from pie_framework.errors import ComponentError, ConfigError, PluginError
from pie_framework.optimisation.start import start_latent
from pie_framework.settings import merge
from pie_framework.testing.toys import toy_networks
from pie_starts.search import EncoderSearch, Nearest, _described, _small, search_distance
from pie_starts.settings import NearestConfig, SearchConfig
from pie_starts.simple import Inverted, Mean

CONTEXT: Any = None
STARTS: dict[str, Initializer] = {
    "mean": Mean(EmptyConfig(), CONTEXT),
    "nearest": Nearest(NearestConfig(), CONTEXT),
    "encoder_search": EncoderSearch(SearchConfig(), CONTEXT),
    "inverter": Inverted(EmptyConfig(), CONTEXT),
}


def begin(networks: Networks, images: Tensor, init: str, seed: int = 0) -> Tensor:
    return start_latent(STARTS[init], networks, images, seed)


@pytest.fixture(scope="module")
def networks() -> Networks:
    return toy_networks()


def portraits(networks: Networks, count: int = 2, seed: int = 5) -> tuple[Tensor, Tensor]:
    """Latents and their images."""
    latent = networks.generator.sample(count, torch.Generator().manual_seed(seed))
    return latent, networks.generator.synthesize(latent)


@pytest.mark.parametrize("init", ["mean", "nearest", "inverter", "encoder_search"])
def test_every_start_is_a_latent_per_portrait_of_its_own(networks: Networks, init: str) -> None:
    _, images = portraits(networks, 3)
    start = begin(networks, images, init)
    g = networks.generator
    assert start.shape == (3, g.num_layers, g.latent_dim)
    assert start.is_contiguous() and not start.requires_grad
    torch.testing.assert_close(begin(networks, images[1:2], init), start[1:2])


def test_the_mean_is_the_generator_s(networks: Networks) -> None:
    _, images = portraits(networks)
    assert torch.equal(begin(networks, images, "mean")[1, 2], networks.generator.mean_latent())


def test_the_inverter_s_answer_is_taken_as_it_is(networks: Networks) -> None:
    latent, images = portraits(networks)
    torch.testing.assert_close(begin(networks, images, "inverter"), latent, atol=1e-4, rtol=1e-4)


CANDIDATES = {"nearest": 64, "encoder_search": 256}


def begin_with_few(networks: Networks, images: Tensor, init: str) -> Tensor:
    few: dict[str, Initializer] = {
        "nearest": Nearest(NearestConfig(20), CONTEXT),
        "encoder_search": EncoderSearch(SearchConfig(20), CONTEXT),
    }
    return start_latent(few[init], networks, images, 7)


@pytest.mark.parametrize("init", ["nearest", "encoder_search"])
def test_a_portrait_of_the_prior_is_found_among_the_candidates(networks: Networks, init: str) -> None:
    drawn = networks.generator.sample(CANDIDATES[init], torch.Generator().manual_seed(7))
    wanted = drawn[[3, 60]]
    images = networks.generator.synthesize(wanted)
    assert torch.equal(begin(networks, images, init, seed=7), wanted)
    assert not torch.equal(begin(networks, images, init, seed=8), wanted)
    assert not torch.equal(begin_with_few(networks, images, init)[1], wanted[1])


@pytest.mark.parametrize("with_model", [True, False])
def test_the_search_counts_faces_and_images_alike(networks: Networks, with_model: bool) -> None:
    world = networks if with_model else replace(networks, face_model=None)
    g = torch.Generator().manual_seed(0)
    own = torch.randn(1, 44, generator=g)
    candidates = own + torch.tensor([0.1, 1.0, 2.0])[:, None] * torch.randn(3, 44, generator=g)
    flat = torch.ones(1, 3)
    assert search_distance(world, flat, own, candidates).argmin() == 0
    first = search_distance(world, torch.tensor([[9.0, 1.0, 9.0]]), own, candidates)
    scaled = search_distance(world, torch.tensor([[0.9, 0.1, 0.9]]), own, candidates)
    torch.testing.assert_close(first, scaled)
    assert first.argmin() == 1
    assert search_distance(world, 0 * flat, own, own.expand(3, -1)).isfinite().all()


def test_faces_without_a_model_are_compared_in_standard_deviations(networks: Networks) -> None:
    world = replace(networks, face_model=None)
    candidates = torch.tensor([[0.0, 5.0, 0.0], [0.5, 5.0, 4.0], [1.0, 5.0, 8.0]])
    own = torch.tensor([[0.25, 6.0, 1.0]])
    found = search_distance(world, torch.tensor([[2.0, 4.0, 6.0]]), own, candidates)
    deviation = candidates.std(dim=0, unbiased=False)
    deviation[1] = 1.0  # the one that is the same in all of them is compared as it is
    faces = ((own - candidates) / deviation).norm(dim=1)
    expected = torch.tensor([0.5, 1.0, 1.5]) + faces / faces.mean()
    torch.testing.assert_close(found[0], expected)


def test_images_are_compared_at_32_pixels() -> None:
    image = torch.arange(2 * 3 * 64 * 64, dtype=torch.float32).view(2, 3, 64, 64)
    wanted = image.view(2, 3, 32, 2, 32, 2).mean(dim=(3, 5)).flatten(1)
    torch.testing.assert_close(_small(image), wanted)
    assert torch.equal(_small(image[:, :, :16, :16]), image[:, :, :16, :16].flatten(1))


def test_candidates_are_described_eight_at_a_time_and_read_where_it_is_asked(networks: Networks) -> None:
    generator: Any = networks.generator
    latent = generator.sample(9, torch.Generator().manual_seed(1))
    for count, calls in ((8, 1), (9, 2)):
        before = generator.calls
        small, theta = _described(networks, latent[:count], read=True)
        assert generator.calls == before + calls
        assert theta is not None and (len(small), len(theta)) == (count, count)
    begin(replace(networks, encoder=None), generator.synthesize(latent[:1]), "nearest")


def test_what_a_start_needs_must_be_there(networks: Networks) -> None:
    _, images = portraits(networks)
    with pytest.raises(ComponentError, match="inverter"):
        begin(replace(networks, inverter=None), images, "inverter")
    with pytest.raises(ComponentError, match="encoder"):
        begin(replace(networks, encoder=None), images, "encoder_search")
    for settings in (NearestConfig, SearchConfig):
        with pytest.raises(ConfigError, match=r"init\.candidates: 0 is too small\. It is at least 1\."):
            merge(settings, {"candidates": 0}, "init")


class Narrow:
    """An inverter for a generator with fewer layers."""

    def invert(self, image: Tensor) -> Tensor:
        return torch.zeros(image.shape[0], 2, 44)


def test_an_inverter_for_another_generator_is_refused(networks: Networks) -> None:
    _, images = portraits(networks)
    with pytest.raises(ComponentError, match=r"\(2, 2, 44\)"):
        begin(replace(networks, inverter=Narrow()), images, "inverter")


def test_what_a_start_does_wrong_names_it(networks: Networks) -> None:
    _, images = portraits(networks)
    named = replace(networks, origins={"init": "the init 'odd' of odd-dist 1.0"})

    class Raising:
        def start(self, networks: Networks, images: Tensor, rng: torch.Generator) -> Tensor:
            raise KeyError("lost")

    class Listing:
        def start(self, networks: Networks, images: Tensor, rng: torch.Generator) -> Any:
            return [0.0]

    for broken, said in ((Raising(), "failed in start.*KeyError: 'lost'"), (Listing(), "gave list")):
        with pytest.raises(PluginError, match=f"'odd' of odd-dist 1.0 {said}"):
            start_latent(broken, named, images)


class Raising:
    """A generator, encoder, inverter and face model of which everything fails."""

    def __init__(self, right: object) -> None:
        self._right = right

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._right, name)
        return self._fail if callable(value) else value

    def _fail(self, *given: object) -> Any:
        raise KeyError("lost")


@pytest.mark.parametrize(
    ("init", "role"),
    [
        ("mean", "generator"),
        ("nearest", "generator"),
        ("encoder_search", "encoder"),
        ("encoder_search", "face_model"),
        ("inverter", "inverter"),
    ],
)
def test_what_goes_wrong_inside_another_component_names_that_one(
    networks: Networks, init: str, role: str
) -> None:
    _, images = portraits(networks)
    origins = {"init": "the start", role: f"the {role} 'odd' of odd-dist 1.0"}
    broken: dict[str, Any] = {role: Raising(getattr(networks, role)), "origins": origins}
    with pytest.raises(
        PluginError, match=f"^the {role} 'odd' of odd-dist 1.0 failed in .*: KeyError: 'lost'"
    ):
        begin(replace(networks, **broken), images, init)
