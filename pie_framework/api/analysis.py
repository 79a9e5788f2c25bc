"""The analysis loss ℓ(I', θ) of §2: how well the rendering of θ explains an image.

Both parts are means, so that weights hold at every resolution: squared colour difference per covered pixel and
channel, and squared landmark distance per landmark in units of the image side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from pie_framework.api.contracts import FaceModel


def photometric_loss(image: Tensor, rendered: Tensor, mask: Tensor) -> Tensor:
    """‖I' - I_θ‖² over the face mask: mean over the covered pixels and the channels.

    Args:
        image: I', (B, 3, H, W) in [-1, 1].
        rendered: I_θ, (B, 3, H, W) in [-1, 1].
        mask: (B, 1, H, W), 1 where the model covers the pixel.

    Returns:
        (B,); 0 where the mask is empty.
    """
    squared = (image - rendered).square().sum(dim=1, keepdim=True) * mask
    covered = mask.sum(dim=(1, 2, 3)) * image.shape[1]
    return squared.sum(dim=(1, 2, 3)) / covered.clamp_min(1.0)


def landmark_loss(detected: Tensor, projected: Tensor, size: int) -> Tensor:
    """‖L_I' - L_θ‖²: mean over the landmarks of the squared distance, in image sides.

    Args:
        detected: (B, K, 2) pixels.
        projected: (B, K, 2) pixels.
        size: side of the image that both are measured in.

    Returns:
        (B,).
    """
    return ((detected - projected) / size).square().sum(dim=-1).mean(dim=-1)


def analysis_losses(
    image: Tensor, landmarks: Tensor, theta: Tensor, face_model: FaceModel, size: int | None = None
) -> dict[str, Tensor]:
    """The two parts of ℓ(I', θ), unweighted (§2).

    Args:
        image: I', (B, 3, R, R) in [-1, 1].
        landmarks: L_I', (B, K, 2) pixels at resolution R.
        theta: (B, P).
        face_model: renders θ.
        size: side at which the photometric part is compared (the image is averaged down); R by default.

    Returns:
        {"photometric": (B,), "landmark": (B,)}, differentiable in θ and in the image.
    """
    from torch.nn import functional

    resolution = image.shape[-1]
    size = resolution if size is None else size
    rendering = face_model.render(theta, size)
    if size != resolution:
        image = functional.interpolate(image, (size, size), mode="area")
    return {
        "photometric": photometric_loss(image, rendering.image, rendering.mask),
        "landmark": landmark_loss(landmarks * (size / resolution), rendering.landmarks, size),
    }
