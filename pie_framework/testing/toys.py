"""A tiny world in which every answer is known exactly.

θ is a linear function of the latent, the image is a linear function of θ, the encoder is its exact inverse and the
rig changes exactly the block it is asked to. In this world a correct energy term has a known value: identity, edit
and invariance are 0 for every latent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pie_framework.api import Block, Layout, Mesh, Networks, Rendering, RigEditor

if TYPE_CHECKING:
    from jaxtyping import Float

TOY_LAYOUT = Layout(
    (
        Block("rotation", 3, "radians", ("pitch", "yaw", "roll")),
        Block("translation", 3, "model units", ("x", "y", "z")),
        Block("identity", 4, "standard deviations"),
        Block("albedo", 2, "standard deviations"),
        Block("expression", 5, "activation", ("smile", "jaw_open", "blink_left", "blink_right")),
        Block("illumination", 27, "spherical harmonics"),
    )
)


def _orthogonal(rows: int, columns: int, rng: torch.Generator) -> Float[Tensor, "{rows} {columns}"]:
    """A matrix with orthonormal columns; rows >= columns."""
    matrix = torch.randn(rows, columns, generator=rng, dtype=torch.float64)
    columns_of: Tensor = torch.linalg.qr(matrix)[0]
    return columns_of


class ToyFaceModel(nn.Module):
    """Image and landmarks are linear in θ; the face mask is the inscribed disc."""

    pixels: Float[Tensor, "_ P"]
    points: Float[Tensor, "2*K P"]

    def __init__(
        self, size: int = 16, num_landmarks: int = 6, layout: Layout = TOY_LAYOUT, seed: int = 0
    ) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.layout = layout
        self.num_landmarks = num_landmarks
        self.size = size
        self.register_buffer("pixels", _orthogonal(3 * size * size, layout.size, rng).float())
        self.register_buffer("points", 0.02 * torch.randn(num_landmarks * 2, layout.size, generator=rng))

    def mesh(self, theta: Float[Tensor, "B P"]) -> Mesh:
        """A single triangle shifted by the translation."""
        corners = torch.tensor([[0.0, 1.0, 0.0], [-1.0, -1.0, 0.0], [1.0, -1.0, 0.0]]).to(theta)
        vertices = corners + self.layout.get(theta, "translation")[:, None]
        return Mesh(vertices, torch.tensor([[0, 1, 2]], device=theta.device), torch.full_like(vertices, 0.5))

    def landmarks(self, theta: Float[Tensor, "B P"], size: int) -> Float[Tensor, "B K 2"]:
        points = (theta @ self.points.T).reshape(-1, self.num_landmarks, 2)
        return size * (0.5 + points)

    def image(self, theta: Float[Tensor, "B P"]) -> Float[Tensor, "B 3 R R"]:
        """At the model's own size."""
        return (theta @ self.pixels.T).reshape(-1, 3, self.size, self.size)

    def render(self, theta: Float[Tensor, "B P"], size: int) -> Rendering:
        image = self.image(theta)
        if size != self.size:
            image = nn.functional.interpolate(image, (size, size), mode="area")
        axis = (torch.arange(size, device=theta.device, dtype=theta.dtype) + 0.5) / size * 2 - 1
        disc = (axis[:, None].square() + axis[None, :].square() <= 1).to(theta.dtype)
        return Rendering(image, disc.expand(theta.shape[0], 1, size, size), self.landmarks(theta, size))


class ToyGenerator(nn.Module):
    """G(w): the mean of w over its layers is θ in rotated coordinates, shown by the toy face model."""

    mixing: Float[Tensor, "D D"]

    def __init__(self, face_model: ToyFaceModel, num_layers: int = 4, seed: int = 1) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.face_model = face_model
        self.resolution = face_model.size
        self.num_layers = num_layers
        self.latent_dim = face_model.layout.size
        self.register_buffer("mixing", _orthogonal(self.latent_dim, self.latent_dim, rng).float())
        self.calls = 0

    def sample(self, n: int, rng: torch.Generator) -> Float[Tensor, "{n} L D"]:
        w = torch.randn(n, 1, self.latent_dim, generator=rng).to(self.mixing)
        return w.expand(n, self.num_layers, self.latent_dim)

    def mean_latent(self) -> Float[Tensor, "D"]:
        return torch.zeros(self.latent_dim).to(self.mixing)

    def theta(self, latent: Float[Tensor, "B L D"]) -> Float[Tensor, "B P"]:
        """The true θ of a latent."""
        return latent.mean(dim=1) @ self.mixing

    def latent(self, theta: Float[Tensor, "B P"]) -> Float[Tensor, "B L D"]:
        """A latent with the given θ."""
        return (theta @ self.mixing.T)[:, None].expand(-1, self.num_layers, -1)

    def synthesize(self, latent: Float[Tensor, "B L D"]) -> Float[Tensor, "B 3 R R"]:
        self.calls += 1
        return self.face_model.image(self.theta(latent))


def _fitted(image: Float[Tensor, "B 3 H W"], size: int) -> Float[Tensor, "B 3 {size} {size}"]:
    """An image of any size as the toy world's networks look at it."""
    if image.shape[-1] == size:
        return image
    return nn.functional.interpolate(image, (size, size), mode="bilinear", align_corners=False)


class ToyEncoder(nn.Module):
    """The exact inverse of the toy face model's image, times `gain`; other sizes are resized."""

    def __init__(self, face_model: ToyFaceModel, gain: float = 1.0) -> None:
        super().__init__()
        self.face_model = face_model
        self.layout = face_model.layout
        self.gain = gain
        self.calls = 0

    def encode(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B P"]:
        self.calls += 1
        theta = _fitted(image, self.face_model.size).flatten(1) @ self.face_model.pixels
        return theta if self.gain == 1.0 else self.gain * theta


class ToyInverter(nn.Module):
    """The exact latent of a toy image, up to what the image does not show."""

    def __init__(self, generator: ToyGenerator) -> None:
        super().__init__()
        self.generator = generator
        self.calls = 0

    def invert(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B L D"]:
        self.calls += 1
        model = self.generator.face_model
        return self.generator.latent(_fitted(image, model.size).flatten(1) @ model.pixels)


class ToyRig(nn.Module):
    """Changes exactly its block; with `strength` below 1 it goes only part of the way, and `offset` is added to every
    coordinate of what comes out, so that E_identity is offset² where the encoder is exact."""

    def __init__(
        self, generator: ToyGenerator, block: str, strength: float = 1.0, offset: float = 0.0
    ) -> None:
        super().__init__()
        self.generator = generator
        self.layout = generator.face_model.layout
        self.block = block
        self.strength = strength
        self.offset = offset
        self.calls = 0

    def rig(
        self, latent: Float[Tensor, "B L D"], parameters: Float[Tensor, "B block"]
    ) -> Float[Tensor, "B L D"]:
        self.calls += 1
        theta = self.generator.theta(latent)
        change = torch.zeros_like(theta)
        change[:, self.layout.slice(self.block)] = parameters - self.layout.get(theta, self.block)
        rigged = latent + self.strength * (change @ self.generator.mixing.T)[:, None]
        return rigged if self.offset == 0.0 else rigged + self.offset


class IdentityRig(nn.Module):
    """A rig that never changes the latent."""

    def __init__(self, layout: Layout, block: str) -> None:
        super().__init__()
        self.layout = layout
        self.block = block

    def rig(
        self, latent: Float[Tensor, "B L D"], parameters: Float[Tensor, "B block"]
    ) -> Float[Tensor, "B L D"]:
        return latent


class ToyFeatures(nn.Module):
    """One smooth feature map and an embedding, from a fixed random projection."""

    projection: Float[Tensor, "C _"]

    def __init__(self, size: int = 16, channels: int = 8, seed: int = 2) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.size = size
        self.register_buffer("projection", torch.randn(channels, 3 * size * size, generator=rng) / size)
        self.calls = 0

    def features(self, image: Float[Tensor, "B 3 H W"]) -> Mapping[str, Float[Tensor, "B C"]]:
        self.calls += 1
        return {"projected": torch.tanh(_fitted(image, self.size).flatten(1) @ self.projection.T)}

    def embed(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E"]:
        return nn.functional.normalize(self.features(image)["projected"], dim=1)


class ToyLandmarks(nn.Module):
    """Exact landmarks of a toy image."""

    def __init__(self, face_model: ToyFaceModel) -> None:
        super().__init__()
        self.face_model = face_model
        self.num_landmarks = face_model.num_landmarks
        self.calls = 0

    def detect(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K 2"]:
        self.calls += 1
        theta = _fitted(image, self.face_model.size).flatten(1) @ self.face_model.pixels
        return self.face_model.landmarks(theta, image.shape[-1])


def toy_networks(
    blocks: tuple[str, ...] = TOY_LAYOUT.editable,
    strength: float = 1.0,
    dtype: torch.dtype = torch.float32,
    offset: float = 0.0,
    gain: float = 1.0,
    device: torch.device | str = "cpu",
) -> Networks:
    """The whole toy world as one set of components; exact in float64 up to the float32 of its matrices.

    Args:
        blocks: the blocks τ, one rig network for each.
        strength: how much of the way the rigs go.
        dtype: of all of them.
        offset: what the rigs add to every coordinate of ŵ.
        gain: what the encoder multiplies θ by; other than 1 it makes E_identity depend on w.
        device: of all of them.
    """
    face_model = ToyFaceModel().to(device, dtype)
    face_model.pixels = torch.linalg.qr(face_model.pixels)[0]
    generator = ToyGenerator(face_model).to(device, dtype)
    generator.mixing = torch.linalg.qr(generator.mixing)[0]
    features = ToyFeatures(face_model.size).to(device, dtype)
    rigs = {block: ToyRig(generator, block, strength, offset) for block in blocks}
    return Networks(
        generator=generator,
        encoder=ToyEncoder(face_model, gain),
        face_model=face_model,
        rigs=rigs,
        features={
            "perceptual": features,
            "recognition": ToyFeatures(face_model.size, seed=3).to(device, dtype),
        },
        landmarks=ToyLandmarks(face_model),
        editor=RigEditor(rigs),
        inverter=ToyInverter(generator),
    )
