"""The memoised view of a latent: everything an energy term may ask about w, each computed once and only if asked.

One `LatentView` lives for one iteration. However many terms ask for the generated image, a rigged latent, its image,
coefficients or features, every network runs once per distinct input. B batch, N latents v drawn in this iteration,
L layers, D latent width, R resolution, P coefficients, K landmarks. Pairs of portrait and v are flattened portrait
first: index b * N + n.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pie_framework.errors import ComponentError

if TYPE_CHECKING:
    from torch import Tensor

    from pie_framework.api.contracts import (
        Editor,
        FaceEncoder,
        FaceModel,
        FeatureNetwork,
        Generator,
        Inverter,
        LandmarkDetector,
        RigNetwork,
    )

T = TypeVar("T")


@dataclass(frozen=True)
class Networks:
    """The frozen components of one run, by the role they play.

    Attributes:
        generator: G.
        encoder: MoFA, or None when no term needs it.
        face_model: the 3DMM with its renderer.
        rigs: RigNet for each block τ of this run.
        features: feature networks by role: "perceptual" (Φ), "recognition" (Ψ), and any a plugin adds.
        landmarks: detector of the landmarks of an image.
        editor: makes the edits.
        inverter: guesses latents of portraits.
    """

    generator: Generator
    encoder: FaceEncoder | None = None
    face_model: FaceModel | None = None
    rigs: Mapping[str, RigNetwork] = field(default_factory=dict)
    features: Mapping[str, FeatureNetwork] = field(default_factory=dict)
    landmarks: LandmarkDetector | None = None
    editor: Editor | None = None
    inverter: Inverter | None = None

    def need_encoder(self) -> FaceEncoder:
        return _present(self.encoder, "encoder")

    def need_face_model(self) -> FaceModel:
        return _present(self.face_model, "face_model")

    def need_landmarks(self) -> LandmarkDetector:
        return _present(self.landmarks, "landmarks")

    def need_editor(self) -> Editor:
        return _present(self.editor, "editor")

    def need_inverter(self) -> Inverter:
        return _present(self.inverter, "inverter")

    def need_rig(self, block: str) -> RigNetwork:
        return _present(self.rigs.get(block), f"rig (for the block '{block}')")

    def need_features(self, role: str) -> FeatureNetwork:
        return _present(self.features.get(role), f"features (in the role '{role}')")


def _present(component: T | None, what: str) -> T:
    if component is None:
        raise ComponentError(
            f"a term asked for a component that is not composed: {what}", f"Select a {what}."
        )
    return component


class Memo:
    """A value per key, computed on first request."""

    def __init__(self) -> None:
        self._values: dict[Hashable, Any] = {}

    def memo(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value under `key`; `compute` runs once in this view's life. Plugins use their own name in the key."""
        if key not in self._values:
            self._values[key] = compute()
        value: T = self._values[key]
        return value


@dataclass(frozen=True)
class PriorDraw:
    """v: latents drawn from the generator's prior, with what is known of their images. Nothing carries a gradient.

    Attributes:
        latent: (N, L, D).
        image: I_v = G(v), (N, 3, R, R).
        theta: θ_v, (N, P).
        landmarks: landmarks of I_v, (N, K, 2) pixels at resolution R.
    """

    latent: Tensor
    image: Tensor
    theta: Tensor
    landmarks: Tensor

    def __len__(self) -> int:
        return int(self.latent.shape[0])


class ImageView(Memo):
    """An image with its coefficients and features, computed when asked for.

    Args:
        networks: the run's components.
        image: (B, 3, R, R) in [-1, 1], or a function that makes it.
    """

    def __init__(self, networks: Networks, image: Tensor | Callable[[], Tensor]) -> None:
        super().__init__()
        self.networks = networks
        self._make_image = image

    @property
    def image(self) -> Tensor:
        """(B, 3, R, R) in [-1, 1]."""
        make = self._make_image
        return self.memo("image", make) if callable(make) else make

    @property
    def theta(self) -> Tensor:
        """MoFA(image), (B, P)."""
        return self.memo("theta", lambda: self.networks.need_encoder().encode(self.image))

    @property
    def landmarks(self) -> Tensor:
        """Detected landmarks of the image, (B, K, 2) pixels."""
        return self.memo("landmarks", lambda: self.networks.need_landmarks().detect(self.image))

    def features(self, role: str) -> Mapping[str, Tensor]:
        """Feature maps of the network in that role: "perceptual" for Φ, "recognition" for Ψ."""
        return self.memo(("features", role), lambda: self.networks.need_features(role).features(self.image))


class TargetView(ImageView):
    """The portrait I, with θ_I, its landmarks and features; lives for the whole run and carries no gradient.

    Args:
        networks: the run's components.
        image: (B, 3, R, R) in [-1, 1].
        landmarks: (B, K, 2) pixels, where they are known and need not be detected.
    """

    def __init__(self, networks: Networks, image: Tensor, landmarks: Tensor | None = None) -> None:
        super().__init__(networks, image.detach())
        if landmarks is not None:
            known = landmarks.detach()
            self.memo("landmarks", lambda: known)

    def memo(self, key: Hashable, compute: Callable[[], T]) -> T:
        import torch

        def without_gradient() -> T:
            with torch.no_grad():
                return compute()

        return super().memo(key, without_gradient)


class EditedView(ImageView):
    """ŵ = RigNet(w, θ_v^τ) for one block τ and every pair of portrait and v, with its image and coefficients.

    Attributes:
        block: τ.
    """

    def __init__(self, networks: Networks, block: str, latent: Callable[[], Tensor]) -> None:
        super().__init__(networks, lambda: networks.generator.synthesize(self.latent))
        self.block = block
        self._make_latent = latent

    @property
    def latent(self) -> Tensor:
        """ŵ, (B * N, L, D)."""
        return self.memo("latent", self._make_latent)


class LatentView(ImageView):
    """w, and all that one iteration derives from it.

    Args:
        networks: the run's components.
        latent: w as W+, (B, L, D); carries the gradient.
        prior: the v of this iteration; None when no term needs it.
        blocks: the blocks τ over which the terms of this iteration are averaged.
    """

    def __init__(
        self, networks: Networks, latent: Tensor, prior: PriorDraw | None = None, blocks: tuple[str, ...] = ()
    ) -> None:
        super().__init__(networks, lambda: networks.generator.synthesize(latent))
        self.latent = latent
        self.blocks = blocks
        self._prior = prior

    @property
    def batch(self) -> int:
        return int(self.latent.shape[0])

    @property
    def prior(self) -> PriorDraw:
        """The v of this iteration; ComponentError when the run draws none."""
        return _present(self._prior, "prior sample")

    def rigged(self, block: str) -> Tensor:
        """RigNet(w, θ_w^τ), (B, L, D): the rig asked for what the latent already shows (§2, identity)."""

        def compute() -> Tensor:
            rig = self.networks.need_rig(block)
            return rig.rig(self.latent, rig.layout.get(self.theta, block))

        return self.memo(("rigged", block), compute)

    def edited(self, block: str) -> EditedView:
        """ŵ = RigNet(w, θ_v^τ) for every v of this iteration (§2, edit and invariance)."""

        def latent() -> Tensor:
            rig = self.networks.need_rig(block)
            wanted = rig.layout.get(self.prior.theta, block)
            return rig.rig(self.per_pair(self.latent), wanted.repeat(self.batch, 1))

        return self.memo(("edited", block), lambda: EditedView(self.networks, block, latent))

    def per_pair(self, values: Tensor) -> Tensor:
        """(B, ...) -> (B * N, ...): each portrait's value once per v."""
        return values.repeat_interleave(len(self.prior), dim=0)

    def prior_per_pair(self, values: Tensor) -> Tensor:
        """(N, ...) -> (B * N, ...): each v's value once per portrait."""
        return values.repeat(self.batch, *([1] * (values.dim() - 1)))

    def mean_over_prior(self, values: Tensor) -> Tensor:
        """E_v: (B * N,) -> (B,)."""
        return values.reshape(self.batch, -1).mean(dim=1)
