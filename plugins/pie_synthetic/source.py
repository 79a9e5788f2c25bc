"""The embedded world as a source of portraits whose parameters are known."""

from __future__ import annotations

import os

import numpy as np

from pie_framework.api import BuildContext, Layout
from pie_synthetic.dataset import PortraitDataset
from pie_synthetic.face import face_model
from pie_synthetic.portrait import Portraits, render_portraits
from pie_synthetic.scene import sample_scenes
from pie_synthetic.settings import SceneSettings


class EmbeddedScenes:
    """Draws, renders and reads portraits of the embedded world."""

    def __init__(self, settings: SceneSettings) -> None:
        self.size = settings.size

    @property
    def layout(self) -> Layout:
        """Of the portraits' θ."""
        return face_model().layout

    def sample(self, count: int, rng: np.random.Generator) -> Portraits:
        """`count` portraits of different persons with θ, landmarks and regions, on the CPU."""
        return render_portraits(sample_scenes(rng, count), size=self.size)

    def open(self, folder: str | os.PathLike[str]) -> PortraitDataset:
        """A dataset that `pie train portraits` rendered; DatasetError when there is none."""
        return PortraitDataset(folder)


def build(config: SceneSettings, context: BuildContext) -> EmbeddedScenes:
    """The scenes `embedded`."""
    return EmbeddedScenes(config)
