"""The frozen components of a run, and the boundary around their code: what they raise or give wrongly names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pie_framework.errors import ComponentError, PieError, PluginError, in_one_line

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float
    from torch import Tensor

    from pie_framework.api.models import (
        Editor,
        FaceEncoder,
        FaceModel,
        FeatureNetwork,
        Generator,
        Inverter,
        LandmarkDetector,
        RigNetwork,
    )
    from pie_framework.api.records import Rendering

T = TypeVar("T")


@dataclass(frozen=True)
class Networks:
    """The frozen components of one run, by the role they play.

    The methods `sample`, `synthesize`, `encode`, `render`, `detect`, `extract`, `move` and `invert` run one of them; a
    fault of its code or of what it gives is a `PluginError` that names it.

    Attributes:
        generator: G.
        encoder: MoFA, or None when no term needs it.
        face_model: the 3DMM with its renderer.
        rigs: RigNet for each block τ of this run.
        features: feature networks by role: "perceptual" (Φ), "recognition" (Ψ), and any a plugin adds.
        landmarks: detector of the landmarks of an image.
        editor: makes the edits.
        inverter: guesses latents of portraits.
        others: components of kinds that have no field here, by kind.
        origins: who they are, by role ("generator", "rig.rotation", "features.perceptual"), for messages.
    """

    generator: Generator
    encoder: FaceEncoder | None = None
    face_model: FaceModel | None = None
    rigs: Mapping[str, RigNetwork] = field(default_factory=dict)
    features: Mapping[str, FeatureNetwork] = field(default_factory=dict)
    landmarks: LandmarkDetector | None = None
    editor: Editor | None = None
    inverter: Inverter | None = None
    others: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)

    def need_encoder(self) -> FaceEncoder:
        return present(self.encoder, "encoder")

    def need_face_model(self) -> FaceModel:
        return present(self.face_model, "face_model")

    def need_landmarks(self) -> LandmarkDetector:
        return present(self.landmarks, "landmarks")

    def need_editor(self) -> Editor:
        return present(self.editor, "editor")

    def need_inverter(self) -> Inverter:
        return present(self.inverter, "inverter")

    def need_rig(self, block: str) -> RigNetwork:
        return present(self.rigs.get(block), f"rig (for the block '{block}')")

    def need_features(self, role: str) -> FeatureNetwork:
        return present(self.features.get(role), f"features (in the role '{role}')")

    def sample(self, count: int, rng: torch.Generator) -> Float[Tensor, "{count} L D"]:
        """`count` latents of the generator's prior."""
        generator = self.generator
        latent = self.call("generator", generator.sample, count, rng)
        wanted = (count, generator.num_layers, generator.latent_dim)
        return self._checked("generator", "samples of its prior", latent, wanted)

    def synthesize(self, latent: Float[Tensor, "B L D"]) -> Float[Tensor, "B 3 R R"]:
        """G(w)."""
        image = self.call("generator", self.generator.synthesize, latent)
        side = self.generator.resolution
        return self._checked("generator", "image", image, (len(latent), 3, side, side))

    def encode(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B P"]:
        """θ = MoFA(image)."""
        encoder = self.need_encoder()
        theta = self.call("encoder", encoder.encode, image)
        return self._checked("encoder", "coefficients", theta, (len(image), encoder.layout.size))

    def render(self, theta: Float[Tensor, "B P"], size: int) -> Rendering:
        """R(θ): colour, mask and landmarks at `size` x `size`."""
        from pie_framework.api.records import Rendering

        model = self.need_face_model()
        shown = self.call("face_model", model.render, theta, size)
        if not isinstance(shown, Rendering):
            raise PluginError(
                f"{self.origin('face_model')} gave {type(shown).__name__} instead of a Rendering"
            )
        batch = len(theta)
        self._checked("face_model", "image", shown.image, (batch, 3, size, size))
        self._checked("face_model", "mask", shown.mask, (batch, 1, size, size))
        self._checked("face_model", "landmarks", shown.landmarks, (batch, model.num_landmarks, 2))
        return shown

    def detect(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K 2"]:
        """Landmarks of an image, pixels."""
        detector = self.need_landmarks()
        points = self.call("landmarks", detector.detect, image)
        return self._checked("landmarks", "landmarks", points, (len(image), detector.num_landmarks, 2))

    def extract(self, role: str, image: Float[Tensor, "B 3 H W"]) -> Mapping[str, Float[Tensor, "B ..."]]:
        """Feature maps of the network in that role, by layer."""
        name = f"features.{role}"
        maps = self.call(name, self.need_features(role).features, image)
        if not isinstance(maps, Mapping) or not maps:
            raise PluginError(f"{self.origin(name)} gave {type(maps).__name__} instead of named feature maps")
        for layer, value in maps.items():
            self._checked(name, f"feature map '{layer}'", value, (len(image),))
        return maps

    def move(
        self, block: str, latent: Float[Tensor, "B L D"], parameters: Float[Tensor, "B block"]
    ) -> Float[Tensor, "B L D"]:
        """ŵ = RigNet(w, θ^τ)."""
        name = f"rig.{block}"
        moved = self.call(name, self.need_rig(block).rig, latent, parameters)
        return self._checked(name, "latent", moved, tuple(latent.shape))

    def invert(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B L D"]:
        """w, as the inverter sees it in an image."""
        latent = self.call("inverter", self.need_inverter().invert, image)
        return self._checked("inverter", "latents", latent, (len(image),))

    def origin(self, role: str) -> str:
        """The component in a role, in words."""
        return self.origins.get(role, f"the component in the role '{role}'")

    def call(self, role: str, function: Callable[..., T], *arguments: Any) -> T:
        """What a function of a component gives.

        Raises:
            PluginError: it raised something that is no error for people; names the component.
        """
        try:
            return function(*arguments)
        except PieError:
            raise
        except (Exception, SystemExit) as error:
            name = getattr(function, "__name__", "call")
            raise PluginError(f"{self.origin(role)} failed in {name}(): {in_one_line(error)}") from error

    def _checked(self, role: str, what: str, value: Any, shape: tuple[int, ...]) -> Tensor:
        """The value, if it is a floating tensor whose shape begins with the one given."""
        import torch

        if not isinstance(value, torch.Tensor):
            raise PluginError(f"{self.origin(role)} gave {type(value).__name__} instead of a tensor ({what})")
        full = len(shape) > 1
        if tuple(value.shape) != shape if full else tuple(value.shape[:1]) != shape:
            wanted = str(shape) if full else f"({shape[0]}, ...)"
            raise PluginError(
                f"{self.origin(role)} gave {what} of the shape {tuple(value.shape)}, not {wanted}"
            )
        if not value.is_floating_point():
            raise PluginError(f"{self.origin(role)} gave {what} in {value.dtype}, not as floating point")
        return value


def present(component: T | None, what: str) -> T:
    """The component; ComponentError where there is none."""
    if component is None:
        raise ComponentError(
            f"a term asked for a component that is not composed: {what}", f"Select a {what}."
        )
    return component
