"""The procedural face model as a component of a run."""

from __future__ import annotations

from pie_facemodels.procedural.model import ProceduralFaceModel
from pie_framework.api import BuildContext, EmptyConfig


def build(config: EmptyConfig, context: BuildContext) -> ProceduralFaceModel:
    """The face model on the run's device and in its dtype; it has no settings."""
    return ProceduralFaceModel(context.dtype, context.device)
