"""Settings of the face models that read a file; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Ge

from pie_framework.api import AssetPath

#: A number of coefficients.
Size = Annotated[int, Ge(0)]


@dataclass(frozen=True)
class IctSettings:
    """Settings of `face_model=ict`.

    Attributes:
        path: folder of the ICT-FaceKit repository (or its FaceXModel folder), or an `ict_facekit.npz`.
        identity: number of identity modes, the largest first.
        albedo: number of coefficients of the generic albedo; ICT-FaceKit's light model has none of its own.
        expressions: names of the blendshapes to take, in this order; the 53 of the model's own list when empty.
        cache: keep what was read from a folder's 154 files in the user's cache folder.
    """

    path: AssetPath = ""
    identity: Size = 100
    albedo: Size = 80
    expressions: list[str] = field(default_factory=list)
    cache: bool = True


@dataclass(frozen=True)
class FlameSettings:
    """Settings of `face_model=flame`.

    Attributes:
        path: FLAME's model file: the published pickle, or an npz with the same arrays.
        landmarks: its 68-point landmark embedding, `landmark_embedding.npy` or `.npz`.
        shapes: how many of the file's directions are shape; the rest are expression.
        identity: number of shape coefficients, at most the file's 300.
        expression: number of expression coefficients, at most the file's 100.
        albedo: number of coefficients of the generic albedo.
        eyes: whether θ has coefficients that turn the eyes.
        neck: whether θ has coefficients that bend the neck.
    """

    path: AssetPath = ""
    landmarks: AssetPath = ""
    shapes: Size = 300
    identity: Size = 100
    expression: Size = 50
    albedo: Size = 80
    eyes: bool = True
    neck: bool = False
