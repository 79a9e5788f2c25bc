"""FLAME: a head with neck, jaw and eyes that turn, by linear blend skinning.

Li, Bolkart, Black, Li, Romero, "Learning a model of facial shape and expression from 4D scans", SIGGRAPH Asia 2017,
section 4: vertices are the template with shape, expression and pose corrections (linear in the joints' rotation
matrices less the identity), turned about joints that are regressed from the shaped vertices.

θ's rotation turns the whole head about the same point as with every face model, so that the file's root joint stays as
it is. The rotations of jaw and eyes, and of the neck if wanted, follow the expression coefficients in their block, as
activations: 1 is `JAW`, `EYE` or `NECK` radians, so that they are of the size of the coefficients beside them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pie_facemodels import files
from pie_facemodels.conventions import Placement, multi_pie_66
from pie_facemodels.flame_files import Embedding, FlameArrays, read_embedding, read_flame
from pie_facemodels.generic_albedo import generic_albedo
from pie_facemodels.mirroring import mirror_vertices
from pie_facemodels.morphable import LANDMARKS, REGION, MorphableData, MorphableModel
from pie_facemodels.parts import eyeballs
from pie_facemodels.procedural.ranges import ROTATION_RANGES
from pie_facemodels.procedural.regions import front_of_face
from pie_facemodels.settings import FlameSettings
from pie_facemodels.warp import canonical
from pie_framework.api import Block, BuildContext, Layout
from pie_framework.errors import ConfigError
from pie_framework.rendering import euler_to_matrix, matrix_to_euler

if TYPE_CHECKING:
    from jaxtyping import Float

Index = npt.NDArray[np.int64]

#: Joints of the file after the root.
NECK_JOINT, JAW_JOINT, LEFT_EYE, RIGHT_EYE = range(4)
#: Radians at activation 1: jaw open, left and rolled; an eye down and to the image's right; the neck.
JAW, EYE, NECK = (0.35, 0.15, 0.10), (0.30, 0.40), (0.30, 0.30, 0.30)
JAW_NAMES = ("jaw_open", "jaw_left", "jaw_roll")
EYE_NAMES = ("eye_left_pitch", "eye_left_yaw", "eye_right_pitch", "eye_right_yaw")
NECK_NAMES = ("neck_pitch", "neck_yaw", "neck_roll")
#: How far, in metres, a vertex may lie from its partner's mirror image.
MIRROR_TOLERANCE = 0.001


def build(config: FlameSettings, context: BuildContext) -> FlameModel:
    """`face_model=flame` on the run's device and in its dtype.

    Raises:
        ConfigError: a file is not named, or more coefficients are asked for than there are.
        AssetError: a file is absent, damaged, or something else.
    """
    for key in ("path", "landmarks"):
        if not getattr(config, key):
            raise ConfigError(
                f"face_model=flame needs face_model.{key}",
                "FLAME is handed out after registration at https://flame.is.tue.mpg.de (docs/formats/flame.md).",
            )
    arrays = read_flame(files.user_path(config.path, context))
    embedding = read_embedding(files.user_path(config.landmarks, context), len(arrays.faces))
    return FlameModel(arrays, embedding, config, context.dtype, context.device)


class FlameModel(MorphableModel):
    """FLAME as a face model; see the module. Landmarks of the contour are those of the yaw that the head shows.

    Args:
        arrays: the model, in metres.
        embedding: its landmarks.
        config: sizes of the blocks, and which joints θ turns.
        dtype, device: of the buffers.
    """

    def __init__(
        self,
        arrays: FlameArrays,
        embedding: Embedding,
        config: FlameSettings,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.settings = config
        self.parents = arrays.parents
        shape, more = _split(arrays, config)
        corners = np.concatenate([embedding.contour_faces.reshape(-1), embedding.static_faces])
        used, where = np.unique(arrays.faces[corners], return_inverse=True)
        where = where.reshape(-1, 3)
        placement, data = _data(arrays, embedding, used, shape, more, config.albedo)
        super().__init__(data, dtype, device)
        self.num_landmarks = 66
        self.contour_sign = contour_sign(arrays, embedding)
        self.expression_aliases = _aliases(config.eyes)

        def put(name: str, values: npt.NDArray[np.generic], kind: torch.dtype | None = dtype) -> None:
            self.register_buffer(name, torch.as_tensor(values).to(device, kind), persistent=False)

        order = np.argsort(self.get_buffer("position").cpu().numpy())
        poses = placement.differences(np.moveaxis(arrays.poses, 2, 0))
        for prefix, chosen in (("", order), ("landmark_", used)):
            put(f"{prefix}poses", poses[:, chosen].reshape(len(poses), -1))
            put(f"{prefix}weights", arrays.weights[chosen])
        put("joints", placement.points(arrays.regressor @ arrays.template))
        for name, basis in (("identity", shape), ("expression", more)):
            moved = np.einsum("jv,vcn->njc", arrays.regressor, basis)
            put(f"joint_{name}", placement.differences(moved).reshape(basis.shape[2], -1))
        bins = embedding.contour_faces.shape
        put("contour", where[: bins[0] * bins[1]].reshape(*bins, 3), None)
        put("contour_weights", embedding.contour_weights)
        put("static", where[bins[0] * bins[1] :], None)
        put("static_weights", embedding.static_weights)
        put("kept", np.asarray(multi_pie_66(np.arange(68))), None)
        put("joint_scale", np.array(_scales(config)))

    def make_layout(self, data: MorphableData) -> Layout:
        """The blocks of θ: the expression coefficients are followed by jaw, eyes and neck."""
        names = tuple(f"expression_{index}" for index in range(len(data.expression)))
        blocks = {block.name: block for block in super().make_layout(data).blocks}
        names += joint_names(self.settings)
        blocks["expression"] = Block("expression", len(names), "activation", names)
        return Layout(tuple(blocks.values()))

    def mirror_matrices(self, data: MorphableData) -> dict[str, npt.NDArray[np.float64]] | None:
        """As of a linear model; jaw and neck keep their pitch, and the eyes change places."""
        found = super().mirror_matrices(data)
        if found is None:
            return None
        names = joint_names(self.settings)
        joints = np.zeros((len(names), len(names)))
        for row, name in enumerate(names):
            other = {"eye_left": "eye_right", "eye_right": "eye_left"}.get(name.rpartition("_")[0])
            column = row if other is None else names.index(f"{other}_{name.rpartition('_')[2]}")
            joints[row, column] = 1.0 if name.endswith(("pitch", "open")) else -1.0
        linear = found["expression"]
        found["expression"] = np.block(
            [
                [linear, np.zeros((len(linear), len(joints)))],
                [np.zeros((len(joints), len(linear))), joints],
            ]
        )
        return found

    def joint_rotations(self, theta: Float[Tensor, "B P"]) -> Float[Tensor, "B 4 3 3"]:
        """Rotations of neck, jaw, left and right eye against their parents."""
        turns = self.layout.get(theta, "expression")[:, -len(self.get_buffer("joint_scale")) :]
        turns = turns * self.get_buffer("joint_scale")
        zero = torch.zeros_like(turns[:, :1])
        still = zero.expand(-1, 3)
        jaw, rest = turns[:, :3], turns[:, 3:]
        left = right = neck = still
        if self.settings.eyes:
            left, right = (torch.cat((eye, zero), 1) for eye in (rest[:, :2], rest[:, 2:4]))
            rest = rest[:, 4:]
        if self.settings.neck:
            neck = rest
        return axis_angle_to_matrix(torch.stack((neck, jaw, left, right), dim=1))

    def surface(self, theta: Float[Tensor, "B P"], part: str) -> Float[Tensor, "B N 3"]:
        """Points before head rotation and translation, joints turned; see `MorphableModel`."""
        parts = self.layout.split(theta)
        identity = parts["identity"]
        expression = parts["expression"][:, : self.get_buffer("expression").shape[0]]
        prefix = "landmark_" if part == LANDMARKS else ""
        shaped = self._mix("mean", "identity", identity, part)
        shaped = torch.addmm(shaped, expression, self._basis("expression", part))
        rotations = self.joint_rotations(theta)
        feature = (rotations - torch.eye(3, dtype=theta.dtype, device=theta.device)).flatten(1)
        poses, weights = self.get_buffer(prefix + "poses"), self.get_buffer(prefix + "weights")
        if part == REGION:
            poses, weights = poses[:, : shaped.shape[1]], weights[: shaped.shape[1] // 3]
        shaped = torch.addmm(shaped, feature, poses).view(theta.shape[0], -1, 3)
        joints = torch.addmm(
            self.get_buffer("joints").view(1, -1), identity, self.get_buffer("joint_identity")
        )
        joints = torch.addmm(joints, expression, self.get_buffer("joint_expression")).view(
            theta.shape[0], -1, 3
        )
        points = blend_skin(shaped, joints, rotations, self.parents, weights)
        return self._embedded(points, theta, rotations[:, NECK_JOINT]) if part == LANDMARKS else points

    def _embedded(
        self, points: Float[Tensor, "B U 3"], theta: Float[Tensor, "B P"], neck: Float[Tensor, "B 3 3"]
    ) -> Float[Tensor, "B 66 3"]:
        """Landmarks on triangles of the U corner points.

        The contour is looked up by the whole degree of the head's yaw, neck included, on the side that `contour_sign`
        says; no gradient goes through that choice.
        """
        contour = self.get_buffer("contour")
        most = (contour.shape[0] - 1) // 2
        turned = euler_to_matrix(self.layout.get(theta, "rotation").detach()) @ neck.detach()
        yaw = self.contour_sign * matrix_to_euler(turned)[:, 1]
        degrees = torch.rad2deg(yaw).clamp(-most, most).round().long()
        seen = torch.where(degrees >= 0, degrees, most - degrees)
        rows = torch.arange(len(points), device=points.device)[:, None, None]
        edge = points[rows, contour[seen]] * self.get_buffer("contour_weights")[seen].unsqueeze(-1)
        inner = points[:, self.get_buffer("static")] * self.get_buffer("static_weights").unsqueeze(-1)
        return torch.cat((edge.sum(2), inner.sum(2)), dim=1)[:, self.get_buffer("kept")]


def joint_names(config: FlameSettings) -> tuple[str, ...]:
    """Names of the coefficients that turn joints, in the order of the expression block's end."""
    return JAW_NAMES + (EYE_NAMES if config.eyes else ()) + (NECK_NAMES if config.neck else ())


def _scales(config: FlameSettings) -> tuple[float, ...]:
    return JAW + (EYE + EYE if config.eyes else ()) + (NECK if config.neck else ())


def _aliases(eyes: bool) -> dict[str, dict[str, float]]:
    aliases = {"jaw_right": {"jaw_left": -1.0}}
    if eyes:
        aliases["gaze_horizontal"] = {"eye_left_yaw": 1.0, "eye_right_yaw": 1.0}
        aliases["gaze_vertical"] = {"eye_left_pitch": -1.0, "eye_right_pitch": -1.0}
    return aliases


def contour_sign(arrays: FlameArrays, embedding: Embedding) -> int:
    """1 where the embedding's first half belongs to positive yaw (the nose to the image's right), else -1.

    Public readers of the embedding count the angle in both directions; its geometry shows what is meant. As the nose
    turns to the image's right, the contour on that side moves forwards on the head, on the other side backwards.
    """
    corners = arrays.template[arrays.faces[embedding.contour_faces]]
    depth = (corners[..., 2] * embedding.contour_weights).sum(-1)
    ahead = depth[:, 9:].mean(1) - depth[:, :8].mean(1)
    most = (len(ahead) - 1) // 2
    return 1 if ahead[1 : most + 1].sum() >= ahead[most + 1 :].sum() else -1


def axis_angle_to_matrix(turns: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices of axis times angle, radians (Rodrigues); smooth at zero."""
    angle = (turns.square().sum(-1, keepdim=True) + 1e-20).sqrt().unsqueeze(-1)
    x, y, z = turns.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1).view(*turns.shape, 3)
    first = torch.sinc(angle / math.pi)
    second = 0.5 * torch.sinc(angle / (2 * math.pi)).square()
    one = torch.eye(3, dtype=turns.dtype, device=turns.device)
    matrix: Tensor = one + first * cross + second * (cross @ cross)
    return matrix


def blend_skin(
    points: Float[Tensor, "B N 3"],
    joints: Float[Tensor, "B J 3"],
    rotations: Float[Tensor, "B J-1 3 3"],
    parents: tuple[int, ...],
    weights: Float[Tensor, "N J"],
) -> Float[Tensor, "B N 3"]:
    """Linear blend skinning: each point follows the joints by its weights; the root stays as it is.

    Args:
        points: at rest.
        joints: at rest.
        rotations: of the joints after the root against their parents.
        parents: of the joints after the root; a parent comes before its children.
        weights: each row sums to one.
    """
    batch = points.shape[0]
    turned = [torch.eye(3, dtype=points.dtype, device=points.device).expand(batch, 3, 3)]
    moved = [joints[:, 0]]
    for joint, parent in enumerate(parents, start=1):
        away = (joints[:, joint] - joints[:, parent]).unsqueeze(-1)
        moved.append(moved[parent] + (turned[parent] @ away).squeeze(-1))
        turned.append(turned[parent] @ rotations[:, joint - 1])
    turn = torch.stack(turned, dim=1)
    shift = torch.stack(moved, dim=1) - (turn @ joints.unsqueeze(-1)).squeeze(-1)
    mixed = torch.einsum("nj,bjk->bnk", weights, torch.cat((turn.flatten(2), shift), dim=-1))
    matrices = mixed[..., :9].reshape(batch, -1, 3, 3)
    out: Tensor = (matrices @ points.unsqueeze(-1)).squeeze(-1) + mixed[..., 9:]
    return out


def _split(
    arrays: FlameArrays, config: FlameSettings
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Directions (V, 3, n) of shape and of expression."""
    total = arrays.shapes.shape[2]
    if config.shapes > total:
        raise ConfigError(
            f"face_model.shapes={config.shapes}, and the file holds {total} directions of shape and expression",
            "It is how many of them are shape: 300 of the published 400.",
        )
    for name, asked, there in (
        ("identity", config.identity, config.shapes),
        ("expression", config.expression, total - config.shapes),
    ):
        if asked > there:
            raise ConfigError(f"face_model.{name}={asked}, and the file holds {there}", "Ask for fewer.")
    start = config.shapes
    return arrays.shapes[..., : config.identity], arrays.shapes[..., start : start + config.expression]


def _data(
    arrays: FlameArrays,
    embedding: Embedding,
    used: Index,
    shape: npt.NDArray[np.float64],
    more: npt.NDArray[np.float64],
    albedo: int,
) -> tuple[Placement, MorphableData]:
    """Where the head is put, and its linear part in world units; its landmarks are the corners that are `used`."""
    ahead = np.concatenate([embedding.contour_faces[0], embedding.static_faces])
    weights = np.concatenate([embedding.contour_weights[0], embedding.static_weights])
    marks = np.asarray(
        multi_pie_66((arrays.template[arrays.faces[ahead]] * weights[..., None]).sum(1)), dtype=np.float64
    )
    placement = Placement.aligned(marks)
    points, landmarks = placement.points(arrays.template), placement.points(marks)
    eyes = eyeballs(points, arrays.faces, landmarks)
    colours = generic_albedo(points, landmarks, eyes, albedo)
    shown = front_of_face(canonical(points.astype(np.float64), landmarks.astype(np.float64)))
    for index in eyes.values():
        shown[index] = True
    ranges = {f"rotation.{name}": (-limit, limit) for name, limit in ROTATION_RANGES.items()}
    ranges |= {"expression.jaw_open": (0.0, 1.0)}
    return placement, MorphableData(
        mean=points,
        identity=placement.differences(np.moveaxis(shape, 2, 0)),
        expression=placement.differences(np.moveaxis(more, 2, 0)),
        albedo_mean=colours.mean,
        albedo=colours.basis,
        faces=arrays.faces,
        landmark_vertices=used,
        region=arrays.faces[shown[arrays.faces].all(1)],
        mirror=mirror_vertices(points, MIRROR_TOLERANCE * placement.scale),
        albedo_names=colours.names,
        ranges=ranges,
    )
