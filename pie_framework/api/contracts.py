"""What each kind of component must offer. B batch, L layers, D latent width, R resolution, P coefficients, K landmarks.

Components are ordinary objects (usually `torch.nn.Module`s) that satisfy one of these protocols; nothing needs to
be subclassed. All tensors are batch first, on the device and in the dtype the component was built with. Images are
(B, 3, H, W) RGB in [-1, 1]. Networks are frozen: only the latent carries a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    from pie_framework.api.layout import Layout
    from pie_framework.api.networks import Networks
    from pie_framework.api.records import AlignedPortrait, Mesh, Rendering
    from pie_framework.api.view import LatentView, TargetView


@runtime_checkable
class Generator(Protocol):
    """G: a frozen image generator with a layered latent space (StyleGAN)."""

    resolution: int
    num_layers: int
    latent_dim: int

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """`n` latents from the generator's own prior as W+, (n, L, D): one w for all layers where it has one.

        The same state of `rng` (on the CPU) gives the same latents, and each call moves it on. May be an expanded view.
        """
        ...

    def mean_latent(self) -> Tensor:
        """The centre of the prior, (D,), one w for all layers; a copy that the caller may change."""
        ...

    def synthesize(self, latent: Tensor) -> Tensor:
        """G(w): (B, L, D) -> (B, 3, R, R), differentiable in the latent and free of hidden randomness."""
        ...


@runtime_checkable
class FaceModel(Protocol):
    """A 3D morphable face model with its differentiable renderer, R(θ)."""

    layout: Layout
    num_landmarks: int

    def mesh(self, theta: Tensor) -> Mesh:
        """(B, P) -> the posed surface in world space with its albedo."""
        ...

    def landmarks(self, theta: Tensor, size: int) -> Tensor:
        """(B, P) -> (B, K, 2) pixels in an image of `size` x `size`, differentiable."""
        ...

    def render(self, theta: Tensor, size: int) -> Rendering:
        """(B, P) -> colour, mask and landmarks at `size` x `size`, differentiable in θ."""
        ...


@runtime_checkable
class FaceEncoder(Protocol):
    """MoFA: reads θ from an image; crops and resizes inside."""

    layout: Layout

    def encode(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, P), differentiable in the image."""
        ...


@runtime_checkable
class RigNetwork(Protocol):
    """StyleRig's RigNet for one block τ."""

    layout: Layout
    block: str

    def rig(self, latent: Tensor, parameters: Tensor) -> Tensor:
        """RigNet(w, θ^τ): latent (B, L, D), parameters (B, block size) -> ŵ (B, L, D), differentiable in both."""
        ...


@runtime_checkable
class Editor(Protocol):
    """Moves a latent so that one block τ of its θ becomes what is asked; usually by the rig networks.

    Attributes:
        blocks: the blocks it can edit.
    """

    blocks: tuple[str, ...]

    def edit(self, latent: Tensor, before: Tensor, asked: Tensor, block: str) -> Tensor:
        """ŵ for one block.

        Args:
            latent: w, (B, L, D).
            before: θ_w as it is read from G(w), (B, P).
            asked: θ' with the block as it is wanted, (B, P); other blocks are not the business of this call.
            block: τ.

        Returns:
            ŵ, (B, L, D).
        """
        ...


@runtime_checkable
class Inverter(Protocol):
    """Guesses the latent of a portrait in one pass."""

    def invert(self, image: Tensor) -> Tensor:
        """(B, 3, R, R) in [-1, 1] -> w as W+, (B, L, D)."""
        ...


@runtime_checkable
class FeatureNetwork(Protocol):
    """Φ or Ψ: named feature maps of an image; preprocessing inside."""

    def features(self, image: Tensor) -> Mapping[str, Tensor]:
        """(B, 3, H, W) in [-1, 1] -> {layer: (B, C, H', W') or (B, C)}, differentiable in the image."""
        ...


@runtime_checkable
class RecognitionNetwork(FeatureNetwork, Protocol):
    """Ψ that also gives an identity embedding."""

    def embed(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, E), unit length; the dot product of two is their identity similarity."""
        ...


@runtime_checkable
class LandmarkDetector(Protocol):
    """Finds the landmarks of the one face in an aligned portrait."""

    num_landmarks: int

    def detect(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, K, 2) pixels of that image."""
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


@runtime_checkable
class EnergyTerm(Protocol):
    """One term of E(w) (§2).

    What it needs is declared with it (`Component.requires`): "encoder", "face_model", "rig", "prior", "landmarks",
    and "features.ROLE" such as "features.perceptual". Weights are not the term's business: they belong to the
    objective.
    """

    def energy(self, view: LatentView, target: TargetView) -> Tensor | Mapping[str, Tensor]:
        """-> (B,), or named parts of (B,) each that the objective weights one by one.

        Unweighted, not reduced over the batch, differentiable in `view.latent`.
        """
        ...


@runtime_checkable
class Optimizer(Protocol):
    """One update rule as a pure function: state comes in, state goes out, nothing is hidden. That makes resume exact.

    Portraits solved in one batch must not influence one another: row b of what comes out depends on row b of what goes
    in. The variable has shape (B, 1, D) in a W stage and (B, L, D) in a W+ stage.
    """

    def init(self, variable: Tensor) -> tuple[Tensor, ...]:
        """The state before the first step, each tensor batch first, (B, ...)."""
        ...

    def update(
        self, variable: Tensor, gradient: Tensor, state: tuple[Tensor, ...], lr: float, step: int
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """-> (what to add to the variable, the new state); `step` starts at 1 and counts within a stage.

        The new state may have more tensors than `init` gave, if `init` gave none.
        """
        ...


@runtime_checkable
class Initializer(Protocol):
    """Where w starts."""

    def start(self, networks: Networks, images: Tensor, rng: torch.Generator) -> Tensor:
        """w of the first step, (B, L, D), for portraits (B, 3, R, R); called without gradients.

        Each portrait's start depends on that portrait and on `rng` alone, not on the others of the batch.
        """
        ...


@runtime_checkable
class HasRanges(Protocol):
    """A face model that says within which values its controls are meant to be used (optional)."""

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Control name, such as "rotation.yaw", to (low, high) in the control's unit; edits beyond are warned about."""
        ...


@runtime_checkable
class HasExpressionAliases(Protocol):
    """A face model that names further expressions by its own coefficients (optional)."""

    @property
    def expression_aliases(self) -> Mapping[str, Mapping[str, float]]:
        """Control name to {coefficient of the expression block: amount at 1}; an edit sets those coefficients."""
        ...


@runtime_checkable
class HasExpressionDirections(Protocol):
    """A face model that names further expressions as directions in the whole block (optional)."""

    @property
    def expression_directions(self) -> Mapping[str, Sequence[float]]:
        """Control name to the amount of every expression coefficient at 1; an edit sets the share along it."""
        ...


@runtime_checkable
class Mirrors(Protocol):
    """A face model that knows the θ of a flipped image (optional; recipes use it)."""

    @property
    def mirror_theta(self) -> Callable[[Tensor], Tensor] | None:
        """θ of the image flipped left to right, (B, P) -> (B, P); None where it is not known. May be a method."""
        ...


@runtime_checkable
class HasLatentShape(Protocol):
    """A network of latents that says which shape they have (optional for rigs; checked against the generator)."""

    num_layers: int
    latent_dim: int


@runtime_checkable
class MadeForGenerator(Protocol):
    """A network that remembers for which generator it was trained (optional for rigs)."""

    @property
    def made_for(self) -> Mapping[str, Any]:
        """`pie_framework.composition.identity.generator_identity` of that generator, or what is known of it; may be
        empty."""
        ...


@runtime_checkable
class KnownPortraits(Protocol):
    """Portraits of a world that can render them again: their θ is known, and so is the true result of every edit."""

    @property
    def images(self) -> Tensor:
        """(B, 3, R, R) RGB in [-1, 1]."""
        ...

    @property
    def theta(self) -> Tensor:
        """(B, P) true coefficients."""
        ...

    @property
    def landmarks(self) -> Tensor:
        """(B, K, 2) true landmarks, pixels of the images."""
        ...

    @property
    def regions(self) -> Tensor:
        """(B, R, R) uint8 labels of what each pixel shows; 0 is the background, the others are the world's own."""
        ...

    @property
    def face(self) -> Tensor:
        """(B, 1, R, R) mask, 1 on the face with its eyes, brows and mouth, else 0."""
        ...

    @property
    def background(self) -> Tensor:
        """(B, 1, R, R) mask, 1 behind the person, else 0."""
        ...

    def edited(self, theta: Tensor) -> KnownPortraits:
        """The true edit: the same persons and surroundings with the coefficients θ (B, P), rendered again.

        What θ does not describe stays as it is. With the portraits' own θ all is reproduced bit for bit.
        """
        ...

    def take(self, rows: Sequence[int]) -> KnownPortraits:
        """The portraits of these rows, in this order."""
        ...


@runtime_checkable
class Scenes(Protocol):
    """A source of portraits whose parameters and true edits are known.

    Attributes:
        size: R, height and width of the portraits, pixels.
    """

    size: int

    @property
    def layout(self) -> Layout:
        """Of the portraits' θ."""
        ...

    def draw(self, count: int, rng: np.random.Generator, shots: int = 1) -> KnownPortraits:
        """`count` different persons, `shots` portraits of each, person after person.

        A person's portraits differ in pose, expression, light and surroundings. The same `rng` state gives the same
        portraits, bit for bit.
        """
        ...
