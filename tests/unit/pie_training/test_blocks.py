from __future__ import annotations

import torch
from torch import nn

from pie_training.blocks import ConvBlock, folded_state


def test_folding_changes_the_parameters_but_not_the_function() -> None:
    torch.manual_seed(0)
    trained = nn.Sequential(ConvBlock(3, 5, folded=False), ConvBlock(5, 4, stride=2, folded=False))
    for _ in range(5):
        trained(torch.randn(8, 3, 12, 12) * 2 + 1)
    folded = nn.Sequential(ConvBlock(3, 5), ConvBlock(5, 4, stride=2))
    folded.load_state_dict(folded_state(trained))
    assert trained.training
    image = torch.randn(2, 3, 12, 12)
    assert torch.allclose(trained.eval()(image), folded.eval()(image), atol=1e-5)
