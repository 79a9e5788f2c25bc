"""The face model of all people of the embedded world."""

from __future__ import annotations

import functools

from pie_facemodels.procedural.model import ProceduralFaceModel


@functools.cache
def face_model() -> ProceduralFaceModel:
    """The procedural face model on the CPU in float32; built once."""
    return ProceduralFaceModel()
