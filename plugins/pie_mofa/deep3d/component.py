"""`encoder=deep3d`: Deep3DFaceRecon's coefficients of the network's own crop, as θ in the camera of the portrait.

The network was trained on pictures that are cut around five landmarks, and its coefficients are those of a camera
that sees exactly that picture. I and G(w) are portraits aligned as FFHQ's, and θ must render onto the face in the
*portrait*.

`crop=fixed` uses that aligned portraits have eyes and mouth in the same places: one window, that of the standard face
in an FFHQ square, serves all. An upright window only scales and shifts the picture, so a pinhole camera with that
window's focal length and principal point *is* the network's camera, seen in the portrait: the face model `bfm` has
this camera, and θ needs no conversion of pose at all. The window is the face model's, in one place, so that the two
cannot differ. It depends on nothing in the image, which keeps the encoder smooth and fast.

`crop=landmarks` cuts around each face by the composed landmark detector, as the network's own preprocessing does; it
is right for portraits that are aligned otherwise. Each window then has a camera of its own, and the face model brings
the head and its light into the portrait's camera. Landmarks are detached: the window does not follow gradients.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from pie_framework.api import BuildContext, LandmarkDetector, Layout
from pie_framework.errors import ComponentError, ConfigError, InputError
from pie_mofa.deep3d.crop import five_points, resample, windows
from pie_mofa.deep3d.network import CoefficientNetwork, load_network
from pie_mofa.deep3d.settings import Deep3DConfig


@runtime_checkable
class Deep3DFaceModel(Protocol):
    """What the encoder needs of the face model.

    Attributes:
        layout: of θ.
        window: (x, y, side) of the part of the portrait whose camera is Deep3DFaceRecon's, in fractions of its side.
    """

    layout: Layout
    window: tuple[float, float, float]

    def from_deep3d(self, coefficients: Tensor, windows: Tensor | None = None) -> Tensor:
        """Coefficients (B, P) of pictures cut at `windows` (B, 3), by default at `window` -> θ (B, P)."""
        ...


class Deep3DEncoder(nn.Module):
    """Satisfies `FaceEncoder`.

    Args:
        network: frozen.
        face_model: whose θ it reads.
        detector: lays the windows; None for the fixed one.
    """

    def __init__(
        self,
        network: CoefficientNetwork,
        face_model: Deep3DFaceModel,
        detector: LandmarkDetector | None = None,
    ) -> None:
        super().__init__()
        self.layout = face_model.layout
        self.network = network
        # In tuples, so that they are not submodules: they have places of their own in the run.
        self._face_model = (face_model,)
        self._detector = (detector,)
        for name in ("identity", "expression", "albedo"):
            found, wanted = network.sizes[name], self.layout.block(name).size
            if found != wanted:
                raise ComponentError(
                    f"the weights of encoder=deep3d give {found} {name} coefficients, the face model has {wanted}",
                    "Both must come from the same morphable model.",
                )

    def encode(self, image: Tensor) -> Tensor:
        """Read θ from portraits.

        Args:
            image: (B, 3, H, W) RGB in [-1, 1] of any resolution; the largest centred square is used.

        Returns:
            (B, P), differentiable in the image.

        Raises:
            InputError: the image has another shape.
        """
        if image.ndim != 4 or image.shape[1] != 3:
            raise InputError(f"the face encoder reads images (B, 3, H, W), not {tuple(image.shape)}")
        height, width = image.shape[-2:]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        image = image[..., top : top + side, left : left + side]
        (face_model,), (detector,) = self._face_model, self._detector
        cut = None
        if detector is not None:
            with torch.no_grad():
                cut = windows(five_points(detector.detect(image)), side)
        picture = resample(image, face_model.window if cut is None else cut)
        return face_model.from_deep3d(self.network(0.5 * picture + 0.5), cut)

    forward = encode


def build(config: Deep3DConfig, context: BuildContext) -> Deep3DEncoder:
    """The frozen encoder; ConfigError unless the face model has Deep3DFaceRecon's layout."""
    face_model = context.face_model()
    if not isinstance(face_model, Deep3DFaceModel):
        raise ConfigError(
            "encoder=deep3d needs face_model=bfm: its coefficients mean nothing in another face model",
            "Compose both: face_model=bfm face_model.path=BFM_model_front.mat.",
        )
    if not config.weights:
        raise ConfigError(
            "encoder=deep3d needs its checkpoint",
            "Give encoder.weights=PATH/epoch_20.pth (docs/formats/deep3d.md).",
        )
    detector = context.landmarks() if config.crop == "landmarks" else None
    network = load_network(context.asset(config.weights)).to(context.device, context.dtype)
    network.freeze({"same": None, "float32": torch.float32, "bfloat16": torch.bfloat16}[config.features])
    return Deep3DEncoder(network, face_model, detector)
