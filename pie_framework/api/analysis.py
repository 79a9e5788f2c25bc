"""The analysis loss ℓ(I', θ) of §2: how well the rendering of θ explains an image.

By default both parts are means, so that weights hold at every resolution: squared colour difference per covered pixel
and channel, and squared landmark distance per landmark in units of the image side. The paper takes sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pie_framework.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from pie_framework.api.models import FaceModel
    from pie_framework.api.networks import Networks

#: How squared differences become one number: their mean, or their sum as in the paper.
REDUCTIONS = ("mean", "sum")


def check_reduction(reduction: str) -> str:
    """The same name; ConfigError when it is none of `REDUCTIONS`."""
    if reduction not in REDUCTIONS:
        raise ConfigError(
            f"reduction: '{reduction}' is not one of its values", did_you_mean(reduction, REDUCTIONS)
        )
    return reduction


def photometric_loss(
    image: Float[Tensor, "B 3 H W"],
    rendered: Float[Tensor, "B 3 H W"],
    mask: Float[Tensor, "B 1 H W"],
    reduction: str = "mean",
) -> Float[Tensor, "B"]:
    """‖I' - I_θ‖² over the face mask.

    Args:
        image: I', in [-1, 1].
        rendered: I_θ, in [-1, 1].
        mask: 1 where the model covers the pixel.
        reduction: "mean" or "sum" over the covered pixels and the channels.

    Returns:
        Squared colours; 0 where the mask is empty.
    """
    check_reduction(reduction)
    squared = (image - rendered).square().sum(dim=1, keepdim=True) * mask
    total = squared.sum(dim=(1, 2, 3))
    if reduction == "sum":
        return total
    covered = mask.sum(dim=(1, 2, 3)) * image.shape[1]
    return total / covered.clamp_min(1.0)


def landmark_loss(
    detected: Float[Tensor, "B K 2"],
    projected: Float[Tensor, "B K 2"],
    size: int,
    reduction: str = "mean",
) -> Float[Tensor, "B"]:
    """‖L_I' - L_θ‖² of the landmarks.

    Args:
        detected: pixels.
        projected: pixels.
        size: side of the image that both are measured in.
        reduction: "mean" over the landmarks, of distances in image sides, or "sum", of distances in pixels.

    Returns:
        In squared image sides or in squared pixels.
    """
    if check_reduction(reduction) == "sum":
        return (detected - projected).square().sum(dim=(1, 2))
    return ((detected - projected) / size).square().sum(dim=-1).mean(dim=-1)


def analysis_losses(
    image: Float[Tensor, "B 3 R R"],
    landmarks: Float[Tensor, "B K 2"],
    theta: Float[Tensor, "B P"],
    face_model: FaceModel | Networks,
    size: int | None = None,
    reduction: str = "mean",
) -> dict[str, Float[Tensor, "B"]]:
    """The two parts of ℓ(I', θ), unweighted (§2).

    Args:
        image: I', in [-1, 1].
        landmarks: L_I', pixels at resolution R.
        theta: θ.
        face_model: renders θ; the networks of a run do so too, and then a fault names their face model.
        size: side at which the photometric part is compared (the image is averaged down); R by default.
        reduction: "mean", or "sum": of squared colours over the covered pixels of that side and the channels, and of
            squared landmark distances in pixels at resolution R.

    Returns:
        "photometric" and "landmark", differentiable in θ and in the image.
    """
    from torch.nn import functional

    resolution = image.shape[-1]
    size = resolution if size is None else size
    rendering = face_model.render(theta, size)
    if size != resolution:
        image = functional.interpolate(image, (size, size), mode="area")
    if check_reduction(reduction) == "sum":
        landmark = landmark_loss(landmarks, rendering.landmarks * (resolution / size), resolution, reduction)
    else:
        landmark = landmark_loss(landmarks * (size / resolution), rendering.landmarks, size)
    return {
        "photometric": photometric_loss(image, rendering.image, rendering.mask, reduction),
        "landmark": landmark,
    }
