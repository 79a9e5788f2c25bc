from __future__ import annotations

import torch
from torch import nn

from pie_framework.api.identity import difference, generator_identity, same_weights


class Generator(nn.Module):
    resolution, num_layers, latent_dim = 64, 10, 32

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.ModuleList([nn.Linear(32, 32), nn.Linear(32, 16), nn.Conv2d(4, 8, 3)])


def test_the_same_weights_are_known_again_after_rounding() -> None:
    generator = Generator()
    noted = generator_identity(generator)  # type: ignore[arg-type]
    assert same_weights(noted, generator)  # type: ignore[arg-type]
    assert same_weights(noted, generator.half())  # type: ignore[arg-type]
    assert same_weights(noted, generator.double())  # type: ignore[arg-type]
    assert not same_weights(noted, Generator(seed=1))  # type: ignore[arg-type]
    assert same_weights({}, Generator())  # type: ignore[arg-type]
    assert same_weights({"fingerprint": []}, Generator())  # type: ignore[arg-type]


def test_a_difference_in_shape_is_named() -> None:
    generator = Generator()
    noted = generator_identity(generator)  # type: ignore[arg-type]
    assert difference(noted, generator) == ""  # type: ignore[arg-type]
    generator.num_layers = 18
    generator.resolution = 1024
    assert difference(noted, generator) == "resolution 64, not 1024, num_layers 10, not 18"  # type: ignore[arg-type]
    assert difference({}, generator) == ""  # type: ignore[arg-type]
