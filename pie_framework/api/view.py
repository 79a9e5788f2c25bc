"""The memoised view of a latent: everything an energy term may ask about w, each computed once and only if asked.

One `LatentView` lives for one iteration. However many terms ask for the generated image, a rigged latent, its image,
coefficients or features, every network runs once per distinct input. B batch, N latents v drawn in this iteration,
L layers, D latent width, R resolution, P coefficients, K landmarks. BN = B * N pairs of portrait and v are flattened
portrait first: index b * N + n.

No view refers to the one that made it: a view that nobody holds any more is freed at once, with its images.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pie_framework.api.networks import Networks, present

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped
    from torch import Tensor

T = TypeVar("T")


class Memo:
    """A value per key, computed on first request, with gradients whatever the caller's mode is."""

    def __init__(self) -> None:
        self._values: dict[Hashable, Any] = {}

    def memo(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value under `key`; `compute` runs once in this view's life. Plugins use their own name in the key.

        What is asked for first inside `torch.no_grad()` carries its gradient all the same, as others may ask later.
        """
        if key not in self._values:
            self._values[key] = self._computed(compute)
        value: T = self._values[key]
        return value

    def values(self) -> Mapping[Hashable, Any]:
        """What was computed so far, by key."""
        return dict(self._values)

    def _computed(self, compute: Callable[[], T]) -> T:
        import torch

        with torch.inference_mode(False), torch.enable_grad():
            return compute()


@dataclass(frozen=True)
class PriorDraw:
    """v: latents drawn from the generator's prior, with what is known of their images. Nothing carries a gradient.

    Attributes:
        latent: v.
        image: I_v = G(v).
        theta: θ_v.
        landmarks: landmarks of I_v, pixels at resolution R.
    """

    latent: Float[Tensor, "N L D"]
    image: Float[Tensor, "N 3 R R"]
    theta: Float[Tensor, "N P"]
    landmarks: Float[Tensor, "N K 2"]

    def __len__(self) -> int:
        return int(self.latent.shape[0])


class ImageView(Memo):
    """An image with its coefficients and features, computed when asked for.

    Args:
        networks: the run's components.
    """

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.networks = networks

    @property
    def image(self) -> Float[Tensor, "B 3 R R"]:
        """RGB in [-1, 1]."""
        raise NotImplementedError("a subclass says which image it is")

    @property
    def theta(self) -> Float[Tensor, "B P"]:
        """MoFA(image)."""
        return self.memo("theta", lambda: self.networks.encode(self.image))

    @property
    def landmarks(self) -> Float[Tensor, "B K 2"]:
        """Detected landmarks of the image, pixels."""
        return self.memo("landmarks", lambda: self.networks.detect(self.image))

    def features(self, role: str) -> Mapping[str, Float[Tensor, "B ..."]]:
        """Feature maps of the network in that role: "perceptual" for Φ, "recognition" for Ψ."""
        return self.memo(("features", role), lambda: self.networks.extract(role, self.image))


class TargetView(ImageView):
    """The portrait I, with θ_I, its landmarks and features; lives for the whole run and carries no gradient.

    Args:
        networks: the run's components.
        image: RGB in [-1, 1]; copied.
        landmarks: pixels, where they are known and need not be detected; copied.
    """

    def __init__(
        self,
        networks: Networks,
        image: Float[Tensor, "B 3 R R"],
        landmarks: Float[Tensor, "B K 2"] | None = None,
    ) -> None:
        super().__init__(networks)
        self._image = image.detach().clone()
        self._known = None if landmarks is None else landmarks.detach().clone()

    @property
    def image(self) -> Float[Tensor, "B 3 R R"]:
        """RGB in [-1, 1]."""
        return self._image

    @property
    def landmarks(self) -> Float[Tensor, "B K 2"]:
        """Landmarks of the portrait, pixels: the known ones, else those that are detected."""
        return super().landmarks if self._known is None else self._known

    def take(self, rows: Sequence[int]) -> TargetView:
        """The portraits of these rows, with nothing computed yet."""
        chosen = list(rows)
        return TargetView(
            self.networks, self._image[chosen], None if self._known is None else self._known[chosen]
        )

    def _computed(self, compute: Callable[[], T]) -> T:
        import torch

        with torch.inference_mode(False), torch.no_grad():
            return compute()


class EditedView(ImageView):
    """ŵ = RigNet(w, θ_v^τ) for one block τ and every pair of portrait and v, with its image and coefficients.

    Args:
        networks: the run's components.
        block: τ.
        source: w for every pair.
        parameters: θ_v^τ for every pair.
    """

    def __init__(
        self,
        networks: Networks,
        block: str,
        source: Float[Tensor, "BN L D"],
        parameters: Float[Tensor, "BN block"],
    ) -> None:
        super().__init__(networks)
        self.block = block
        self._source = source
        self._parameters = parameters

    @property
    def latent(self) -> Float[Tensor, "BN L D"]:
        """ŵ."""
        return self.memo("latent", lambda: self.networks.move(self.block, self._source, self._parameters))

    @property
    def image(self) -> Float[Tensor, "BN 3 R R"]:
        """G(ŵ)."""
        return self.memo("image", lambda: self.networks.synthesize(self.latent))


class LatentView(ImageView):
    """w, and all that one iteration derives from it.

    Args:
        networks: the run's components.
        latent: w as W+; carries the gradient.
        prior: the v of this iteration; None when no term needs it.
        blocks: the blocks τ over which the terms of this iteration are averaged.
    """

    def __init__(
        self,
        networks: Networks,
        latent: Float[Tensor, "B L D"],
        prior: PriorDraw | None = None,
        blocks: tuple[str, ...] = (),
    ) -> None:
        super().__init__(networks)
        self.latent = latent
        self.blocks = blocks
        self._prior = prior

    @property
    def batch(self) -> int:
        return int(self.latent.shape[0])

    @property
    def image(self) -> Float[Tensor, "B 3 R R"]:
        """G(w)."""
        return self.memo("image", lambda: self.networks.synthesize(self.latent))

    @property
    def prior(self) -> PriorDraw:
        """The v of this iteration; ComponentError when the run draws none."""
        return present(self._prior, "prior sample")

    def rigged(self, block: str) -> Float[Tensor, "B L D"]:
        """RigNet(w, θ_w^τ): the rig asked for what the latent already shows (§2, identity)."""

        def compute() -> Tensor:
            layout = self.networks.need_rig(block).layout
            return self.networks.move(block, self.latent, layout.get(self.theta, block))

        return self.memo(("rigged", block), compute)

    def edited(self, block: str) -> EditedView:
        """ŵ = RigNet(w, θ_v^τ) for every v of this iteration (§2, edit and invariance)."""

        def compute() -> EditedView:
            wanted = self.networks.need_rig(block).layout.get(self.prior.theta, block)
            return EditedView(self.networks, block, self.per_pair(self.latent), wanted.repeat(self.batch, 1))

        return self.memo(("edited", block), compute)

    def per_pair(self, values: Shaped[Tensor, "B *shape"]) -> Shaped[Tensor, "BN *shape"]:
        """Each portrait's value once per v."""
        return values.repeat_interleave(len(self.prior), dim=0)

    def prior_per_pair(self, values: Shaped[Tensor, "N *shape"]) -> Shaped[Tensor, "BN *shape"]:
        """Each v's value once per portrait."""
        return values.repeat(self.batch, *([1] * (values.dim() - 1)))

    def mean_over_prior(self, values: Float[Tensor, "BN"]) -> Float[Tensor, "B"]:
        """E_v."""
        return values.reshape(self.batch, -1).mean(dim=1)
