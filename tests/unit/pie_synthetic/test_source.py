"""Portraits of the embedded world and their true edits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pie_framework.errors import PieError
from pie_synthetic.portrait import Region
from pie_synthetic.settings import SceneSettings
from pie_synthetic.source import EmbeddedPortraits, EmbeddedScenes

SOURCE = EmbeddedScenes(SceneSettings(size=48), torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def drawn() -> EmbeddedPortraits:
    return SOURCE.draw(2, np.random.default_rng(5))


def test_a_portrait_does_not_depend_on_the_others(drawn: EmbeddedPortraits) -> None:
    alone = SOURCE.draw(1, np.random.default_rng(5))
    assert torch.equal(alone.images[0], drawn.images[0])


def test_masks_are_the_regions(drawn: EmbeddedPortraits) -> None:
    assert torch.equal(drawn.background[:, 0] == 1, drawn.regions == Region.BACKGROUND)
    kinds = torch.unique(drawn.regions[drawn.face[:, 0] == 1]).tolist()
    assert set(kinds) <= {Region.FACE, Region.EYES, Region.BROWS, Region.MOUTH}
    assert not torch.isin(drawn.regions[drawn.face[:, 0] == 0], torch.tensor([4, 5, 6, 7])).any()


def test_an_edit_keeps_what_theta_does_not_describe(drawn: EmbeddedPortraits) -> None:
    other = drawn.theta.flip(0)
    edited = drawn.edited(other)
    assert torch.equal(edited.theta, other)
    for before, after in zip(drawn.scenes, edited.scenes, strict=True):
        for name in ("hair", "build", "iris", "glasses"):
            assert getattr(after.person, name) is getattr(before.person, name)
        for name in ("background", "clothes"):
            assert getattr(after.shot, name) is getattr(before.shot, name)


def test_an_expression_leaves_the_surroundings_alone(drawn: EmbeddedPortraits) -> None:
    theta = drawn.theta.clone()
    theta[
        :, SOURCE.layout.slice("expression").start + SOURCE.layout.names("expression").index("jaw_open")
    ] += 1
    edited = drawn.edited(theta)
    both = (drawn.background * edited.background).expand_as(drawn.images) == 1
    inner = torch.nn.functional.max_pool2d((~both).float(), 3, 1, 1) == 0
    assert torch.equal(drawn.images[inner], edited.images[inner])
    mouth = (drawn.regions == Region.MOUTH)[:, None].expand_as(drawn.images)
    assert (drawn.images - edited.images)[mouth].abs().mean() > 0.05


def test_a_theta_of_another_shape_is_refused(drawn: EmbeddedPortraits) -> None:
    with pytest.raises(PieError, match="one row"):
        drawn.edited(drawn.theta[:1])


def test_no_portraits_is_an_error() -> None:
    with pytest.raises(PieError, match="at least one"):
        SOURCE.draw(0, np.random.default_rng(0))
