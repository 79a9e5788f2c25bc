"""`face_model=bfm`: the Basel Face Model in the layout, units and camera of Deep3DFaceRecon (Deng et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from pie_facemodels.bfm_file import read_bfm
from pie_facemodels.bfm_settings import BfmSettings
from pie_facemodels.conventions import (
    DEEP3D_WINDOW,
    change_window,
    deep3d_camera,
    theta_from_deep3d,
    theta_to_deep3d,
)
from pie_facemodels.morphable import MorphableData, MorphableModel
from pie_framework.api import BuildContext
from pie_framework.errors import ConfigError
from pie_framework.rendering import face_normals

if TYPE_CHECKING:
    from jaxtyping import Float

#: Shaded colours are shown as they are up to here, as Deep3DFaceRecon shows them; only brighter ones are compressed.
KNEE = 0.9


class BfmFaceModel(MorphableModel):
    """A `MorphableModel` whose camera is Deep3DFaceRecon's: what its network reads is θ but for order and light.

    Geometry stays metric: decimetres, centred on the mean face's vertices, which the head turns about, 10 before the
    camera. The camera sees the `window` of the portrait that the network's picture is cut from.

    Args:
        data: the model, in decimetres.
        dtype: floating-point type of buffers and results.
        device: where the buffers live.
        window: (x, y, side) in fractions of the portrait's side.
    """

    def __init__(
        self,
        data: MorphableData,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        window: tuple[float, float, float] = DEEP3D_WINDOW,
    ) -> None:
        super().__init__(data, dtype, device, deep3d_camera(window), (0.0, 0.0, 0.0), KNEE)
        self.window = window

    def normals(self, vertices: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N 3"]:
        """Unit normals of the region: the mean of the faces' unit normals, each face counting alike."""
        faces = self.region_faces
        unit = functional.normalize(face_normals(vertices, faces), dim=-1, eps=1e-8)
        summed = torch.zeros_like(vertices)
        for corner in faces.unbind(1):
            summed = summed.index_add(1, corner, unit)
        return functional.normalize(summed, dim=-1, eps=1e-8)

    def from_deep3d(
        self, coefficients: Float[Tensor, "B P"], windows: Float[Tensor, "B 3"] | None = None
    ) -> Float[Tensor, "B P"]:
        """θ of Deep3DFaceRecon's coefficients.

        Args:
            coefficients: identity, expression, albedo, angles, illumination, translation.
            windows: (x, y, side) where each picture was cut out of the portrait; at `window` when None.
        """
        theta = theta_from_deep3d(coefficients, self.layout)
        return theta if windows is None else change_window(theta, self.layout, windows, self.window)

    def to_deep3d(self, theta: Float[Tensor, "B P"]) -> Float[Tensor, "B P"]:
        """Deep3DFaceRecon's coefficients of θ, for a picture that is cut at `window`."""
        return theta_to_deep3d(theta, self.layout)


def build(config: BfmSettings, context: BuildContext) -> BfmFaceModel:
    """The face model of the file that the settings name, on the run's device and in its dtype."""
    if not config.path:
        raise ConfigError(
            "face_model=bfm needs its file",
            "Give face_model.path=PATH/BFM_model_front.mat (docs/formats/bfm.md).",
        )
    data = read_bfm(context.asset(config.path), config.region)
    return BfmFaceModel(data, context.dtype, context.device, config.window)
