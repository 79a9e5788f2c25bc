"""What each kind of network must offer. B batch, L layers, D latent width, R resolution, P coefficients, K landmarks.

Components are ordinary objects (usually `torch.nn.Module`s) that satisfy one of these protocols; nothing needs to
be subclassed. All tensors are batch first, on the device and in the dtype the component was built with. Images are RGB
in [-1, 1]. Networks are frozen: only the latent carries a gradient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch
    from jaxtyping import Float
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    from pie_framework.api.layout import Layout
    from pie_framework.api.records import AlignedPortrait, Mesh, Rendering


@runtime_checkable
class Generator(Protocol):
    """G: a frozen image generator with a layered latent space (StyleGAN)."""

    resolution: int
    num_layers: int
    latent_dim: int

    def sample(self, n: int, rng: torch.Generator) -> Float[Tensor, "{n} L D"]:
        """`n` latents from the generator's own prior as W+: one w for all layers where it has one.

        The same state of `rng` (on the CPU) gives the same latents, and each call moves it on. May be an expanded view.
        """
        ...

    def mean_latent(self) -> Float[Tensor, "D"]:
        """The centre of the prior, one w for all layers; a copy that the caller may change."""
        ...

    def synthesize(self, latent: Float[Tensor, "B L D"]) -> Float[Tensor, "B 3 R R"]:
        """G(w), differentiable in the latent and free of hidden randomness."""
        ...


@runtime_checkable
class FaceModel(Protocol):
    """A 3D morphable face model with its differentiable renderer, R(θ)."""

    layout: Layout
    num_landmarks: int

    def mesh(self, theta: Float[Tensor, "B P"]) -> Mesh:
        """The posed surface in world space with its albedo."""
        ...

    def landmarks(self, theta: Float[Tensor, "B P"], size: int) -> Float[Tensor, "B K 2"]:
        """Pixels in an image of `size` x `size`, differentiable."""
        ...

    def render(self, theta: Float[Tensor, "B P"], size: int) -> Rendering:
        """Colour, mask and landmarks at `size` x `size`, differentiable in θ."""
        ...


@runtime_checkable
class FaceEncoder(Protocol):
    """MoFA: reads θ from an image; crops and resizes inside."""

    layout: Layout

    def encode(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B P"]:
        """θ, differentiable in the image."""
        ...


@runtime_checkable
class RigNetwork(Protocol):
    """StyleRig's RigNet for one block τ."""

    layout: Layout
    block: str

    def rig(
        self, latent: Float[Tensor, "B L D"], parameters: Float[Tensor, "B block"]
    ) -> Float[Tensor, "B L D"]:
        """ŵ = RigNet(w, θ^τ), differentiable in both."""
        ...


@runtime_checkable
class Editor(Protocol):
    """Moves a latent so that one block τ of its θ becomes what is asked; usually by the rig networks.

    Attributes:
        blocks: the blocks it can edit.
    """

    blocks: tuple[str, ...]

    def edit(
        self,
        latent: Float[Tensor, "B L D"],
        before: Float[Tensor, "B P"],
        asked: Float[Tensor, "B P"],
        block: str,
    ) -> Float[Tensor, "B L D"]:
        """ŵ for one block.

        Args:
            latent: w.
            before: θ_w as it is read from G(w).
            asked: θ' with the block as it is wanted; other blocks are not the business of this call.
            block: τ.
        """
        ...


@runtime_checkable
class Inverter(Protocol):
    """Guesses the latent of a portrait in one pass."""

    def invert(self, image: Float[Tensor, "B 3 R R"]) -> Float[Tensor, "B L D"]:
        """w as W+."""
        ...


@runtime_checkable
class FeatureNetwork(Protocol):
    """Φ or Ψ: named feature maps of an image; preprocessing inside."""

    def features(self, image: Float[Tensor, "B 3 H W"]) -> Mapping[str, Float[Tensor, "B ..."]]:
        """By layer, (B, C, H', W') or (B, C); differentiable in the image."""
        ...


@runtime_checkable
class RecognitionNetwork(FeatureNetwork, Protocol):
    """Ψ that also gives an identity embedding."""

    def embed(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E"]:
        """Of unit length; the dot product of two is their identity similarity."""
        ...


@runtime_checkable
class LandmarkDetector(Protocol):
    """Finds the landmarks of the one face in an aligned portrait."""

    num_landmarks: int

    def detect(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K 2"]:
        """Pixels of that image."""
        ...


@runtime_checkable
class PhotoLandmarks(LandmarkDetector, Protocol):
    """A landmark detector that also knows the faces of whole photos, before they are aligned."""

    def faces(self, photo: Image) -> Sequence[NDArray[np.float64]]:
        """The faces of an upright RGB photo, the largest first, in photo pixels; none where none is known.

        Each is (66, 2) landmarks, or (5, 2): the eyes, the tip of the nose and the corners of the mouth, of each pair
        the one on the photo's left first.
        """
        ...

    def given(self, photo: Image) -> NDArray[np.float64] | None:
        """Landmarks that the user prescribes for a photo, (K, 2) photo pixels, instead of detected ones; else None."""
        ...


@runtime_checkable
class Aligner(Protocol):
    """Brings the face of a photo to where the generator expects it, and says where it came from."""

    def align(self, photo: Image, size: int) -> AlignedPortrait:
        """An upright RGB photo of any size -> the portrait at `size` x `size`.

        Raises:
            InputError: no face is found, or not the one asked for.
        """
        ...
