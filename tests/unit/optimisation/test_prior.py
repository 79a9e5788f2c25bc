"""Where v come from: fixed by seed and step alone, described by the run's own networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from pie_framework.errors import PluginError
from pie_framework.optimisation.prior import PriorSampler, describe, step_rng
from pie_framework.testing.toys import toy_networks


@pytest.mark.parametrize("pool", [0, 6])
def test_v_are_fixed_by_seed_and_step(pool: int) -> None:
    networks = toy_networks()
    first, again = PriorSampler(networks, 1, 2, pool), PriorSampler(networks, 1, 2, pool)
    again.draw(9)
    assert torch.equal(first.draw(4).latent, again.draw(4).latent)
    assert not torch.equal(first.draw(4).latent, first.draw(5).latent)
    assert not torch.equal(first.draw(4).latent, PriorSampler(networks, 2, 2, pool).draw(4).latent)
    assert len(first.draw(4)) == 2


def test_a_pool_is_made_once_and_drawn_from_without_repetition() -> None:
    networks: Any = toy_networks()
    sampler = PriorSampler(networks, 3, per_step=4, pool=5)
    assert networks.generator.calls == 0, "it is made when the first v is drawn"
    seen = [sampler.draw(step).latent[:, 0] for step in range(30)]
    calls = networks.generator.calls
    sampler.draw(31)
    assert networks.generator.calls == calls
    for drawn in seen:
        assert len({tuple(row.tolist()) for row in drawn}) == 4
    assert len({tuple(row.tolist()) for drawn in seen for row in drawn}) == 5
    assert sampler.pool is not None
    expected = networks.generator.sample(5, torch.Generator().manual_seed(3))
    assert torch.equal(sampler.pool.latent, expected)


def test_a_pool_is_never_smaller_than_a_draw() -> None:
    assert len(PriorSampler(toy_networks(), 0, per_step=4, pool=2).draw(0)) == 4


def test_without_a_pool_every_step_makes_new_ones() -> None:
    networks: Any = toy_networks()
    sampler = PriorSampler(networks, 0, per_step=3, pool=0)
    assert sampler.pool is None
    sampler.draw(0)
    calls = networks.generator.calls
    sampler.draw(1)
    assert networks.generator.calls == calls + 1


def test_what_is_known_of_v_belongs_to_its_row() -> None:
    networks = toy_networks()
    for pool in (0, 6):
        drawn = PriorSampler(networks, 1, 3, pool).draw(2)
        image = networks.generator.synthesize(drawn.latent)
        torch.testing.assert_close(drawn.image, image)
        torch.testing.assert_close(drawn.theta, networks.need_encoder().encode(image), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(drawn.landmarks, networks.need_landmarks().detect(image))
        assert not drawn.image.requires_grad


def test_describing_in_parts_is_describing_at_once() -> None:
    networks: Any = toy_networks()
    latent = networks.generator.sample(7, torch.Generator().manual_seed(0)).requires_grad_()
    whole = describe(networks, latent, batch=7)
    before = networks.generator.calls
    parts = describe(networks, latent, batch=3)
    assert networks.generator.calls == before + 3
    describe(networks, latent[:1].expand(9, -1, -1))
    assert networks.generator.calls == before + 5, "eight at a time"
    describe(networks, latent[:1].expand(8, -1, -1))
    assert networks.generator.calls == before + 6
    for name in ("image", "theta", "landmarks"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=1e-5, atol=1e-5)
        assert not getattr(parts, name).requires_grad


def test_the_generator_of_a_step_depends_on_both_numbers() -> None:
    def first(seed: int, step: int) -> float:
        return float(torch.rand((), generator=step_rng(seed, step)))

    assert first(1, 2) == first(1, 2)
    assert len({first(seed, step) for seed in range(4) for step in range(4)}) == 16
    assert step_rng(3, 5).initial_seed() == 3_000_014
    assert step_rng(2**62, 0).initial_seed() == 2**62, "the largest seeds too"


def test_samples_of_a_wrong_shape_name_the_generator() -> None:
    networks: Any = replace(toy_networks(), origins={"generator": "the generator 'odd' of odd-dist 1.0"})
    networks.generator.sample = lambda n, rng: torch.zeros(n, 44)
    for pool in (0, 3):
        with pytest.raises(
            PluginError, match=r"'odd' of odd-dist 1.0 gave samples of its prior of the shape \(\d, 44\)"
        ):
            PriorSampler(networks, 0, 1, pool).draw(0)
    networks.generator.sample = lambda n, rng: torch.zeros(n, 2, 44)
    with pytest.raises(PluginError, match=r"of the shape \(1, 2, 44\)"):
        PriorSampler(networks, 0, 1, 0).draw(0)
    networks.generator.sample = lambda n, rng: None
    with pytest.raises(PluginError, match="gave NoneType"):
        PriorSampler(networks, 0, 1, 0).draw(0)
