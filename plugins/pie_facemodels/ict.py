"""ICT-FaceKit (USC Institute for Creative Technologies, MIT licence): 100 identity modes, 53 named blendshapes.

Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020; https://github.com/ICT-VGL/ICT-FaceKit.
Its files are meshes of one topology, in centimetres: a neutral face, and one for each mode and blendshape at 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pie_facemodels import files
from pie_facemodels.aliases import ICT_ALIASES, alias_ranges
from pie_facemodels.conventions import Placement, multi_pie_66
from pie_facemodels.generic_albedo import generic_albedo
from pie_facemodels.mirroring import mirror_vertices
from pie_facemodels.morphable import MorphableData, MorphableModel
from pie_facemodels.procedural.ranges import ROTATION_RANGES
from pie_facemodels.procedural.regions import front_of_face
from pie_facemodels.settings import IctSettings
from pie_facemodels.warp import canonical
from pie_framework.api import BuildContext
from pie_framework.errors import AssetError, ConfigError, did_you_mean

Floats = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]

NEUTRAL, INDICES, ARCHIVE = "generic_neutral_mesh.obj", "vertex_indices.json", "ict_facekit.npz"
#: Vertices of the published topology, and where its parts lie (the model's documentation).
VERTICES = 26719
PARTS = {
    "mouth": (11248, 13294),
    "gums": (14062, 17039),
    "teeth": (17039, 21451),
    "eye_left": (21451, 23021),
    "eye_right": (23021, 24591),
}
SOCKETS = (13294, 14062)
SKIN = (0, 11248)
#: The 68 Multi-PIE landmarks of the published topology.
LANDMARKS = (
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443, 268, 493, 1914,
    2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360, 1507, 1542, 1537,
    1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957,
    5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966,
)  # fmt: skip
#: Blendshapes of the archive that the model's own list leaves out.
UNLISTED = ("PupilDilate_L", "PupilDilate_R", "cheekRaiser_L", "cheekRaiser_R")
#: How far, in centimetres, a vertex may lie from its partner's mirror image.
MIRROR_TOLERANCE = 0.01
#: Name of the format of cached files; another one is read anew.
CACHE = "ict1"


@dataclass(frozen=True)
class IctArrays:
    """The model as its files hold it, in centimetres.

    Attributes:
        neutral: (V, 3).
        triangles: (F, 3).
        identity, expression: (n, V, 3), (m, V, 3) offsets at coefficient 1.
        names: of the blendshapes.
        landmarks: (68,) vertices.
    """

    neutral: Floats
    triangles: Index
    identity: Floats
    expression: Floats
    names: tuple[str, ...]
    landmarks: Index


def build(config: IctSettings, context: BuildContext) -> MorphableModel:
    """`face_model=ict` on the run's device and in its dtype.

    Raises:
        ConfigError: no path is set, or an unknown blendshape is asked for.
        AssetError: the files are absent, incomplete or damaged.
    """
    if not config.path:
        raise ConfigError(
            "face_model=ict needs the model's files",
            "'pie assets pull ict-facekit' fetches them (MIT, no registration): face_model.path=asset://ict-facekit. "
            "Or clone https://github.com/ICT-VGL/ICT-FaceKit: face_model.path=FOLDER.",
        )
    arrays = read(files.user_path(config.path, context), config)
    return MorphableModel(data_of(arrays, config.albedo), context.dtype, context.device)


def read(path: Path, config: IctSettings) -> IctArrays:
    """The model from a folder of OBJ files, or from an archive; a folder that holds the archive gives that."""
    if path.is_dir() and (path / ARCHIVE).is_file():
        path = path / ARCHIVE
    return _read_archive(path, config) if path.is_file() else _read_folder(path, config)


def _read_folder(path: Path, config: IctSettings) -> IctArrays:
    folder = path / "FaceXModel" if (path / "FaceXModel").is_dir() else path
    indices = _indices(folder / INDICES)
    names = _chosen(config.expressions, indices["expressions"], folder)
    meshes = [f"identity{number:03d}" for number in range(config.identity)] + list(names)
    absent = [f"{name}.obj" for name in meshes if not (folder / f"{name}.obj").is_file()]
    if absent:
        raise AssetError(
            f"'{folder}' lacks {len(absent)} of ICT-FaceKit's meshes: {', '.join(absent[:4])}"
            + (" and others" if len(absent) > 4 else ""),
            "Get the whole folder, or ask for less with face_model.identity and face_model.expressions.",
        )
    neutral, triangles = files.read_obj(folder / NEUTRAL, True)
    kept = None
    if config.cache:
        kept = files.cache_folder() / f"{CACHE}-{_digest(folder, meshes)}.npz"
        offsets = _cached(kept, (len(meshes), *neutral.shape))
        if offsets is not None:
            kept = None
    else:
        offsets = None
    if offsets is None:
        offsets = np.empty((len(meshes), *neutral.shape), dtype=np.float32)
        for row, name in enumerate(meshes):
            vertices, _ = files.read_obj(folder / f"{name}.obj", False)
            if vertices.shape != neutral.shape:
                raise AssetError(
                    f"'{folder / name}.obj' has {len(vertices)} vertices, the neutral mesh {len(neutral)}"
                )
            offsets[row] = vertices - neutral
        if kept is not None:
            files.write_cache(kept, {"offsets": offsets})
    landmarks = _landmarks(indices["idx_to_landmark_verts"], len(neutral), folder / INDICES)
    count = config.identity
    return IctArrays(neutral, triangles, offsets[:count], offsets[count:], names, landmarks)


def _digest(folder: Path, meshes: Sequence[str]) -> str:
    """Of the names, sizes and times of the meshes."""
    sha = hashlib.sha256()
    for name in (NEUTRAL.removesuffix(".obj"), *meshes):
        stat = (folder / f"{name}.obj").stat()
        sha.update(f"{folder.resolve()}|{name}|{stat.st_size}|{stat.st_mtime_ns}\n".encode())
    return sha.hexdigest()[:32]


def _cached(path: Path, shape: tuple[int, ...]) -> Floats | None:
    """What was kept, if it is there and whole."""
    if not path.is_file():
        return None
    try:
        offsets = files.read_npz(path, ["offsets"])["offsets"]
    except AssetError:
        return None
    whole = (
        offsets.shape == shape and offsets.dtype == np.float32 and np.isfinite(offsets.sum(dtype=np.float64))
    )
    return offsets if whole else None


def _indices(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > files.MAX_OBJ:
            raise AssetError(f"'{path}' is too large to be ICT-FaceKit's list of vertices")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AssetError(
            f"'{path}' cannot be read: {error.strerror}",
            "face_model.path is the ICT-FaceKit repository folder, its FaceXModel folder, or an ict_facekit.npz.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise AssetError(f"'{path}' is not JSON: {error}") from error
    keys = ("expressions", "idx_to_landmark_verts")
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in keys):
        raise AssetError(f"'{path}' lacks the lists {' and '.join(keys)} of ICT-FaceKit")
    return content


def _landmarks(values: Sequence[Any], count: int, source: Path) -> Index:
    fits = len(values) == 68 and all(type(v) is int and 0 <= v < count for v in values)
    if not fits:
        raise AssetError(f"'{source}' does not list 68 landmarks among {count} vertices")
    return np.array(values, dtype=np.int64)


def _chosen(asked: Sequence[str], known: Sequence[Any], source: Path) -> tuple[str, ...]:
    """The blendshapes asked for; all known ones when none is. Names become file names, so they are plain words."""
    if not all(isinstance(name, str) and name.isidentifier() for name in known):
        raise AssetError(f"'{source}' lists blendshapes whose names are no plain words")
    for name in asked:
        if name not in known:
            raise ConfigError(f"ICT-FaceKit has no blendshape '{name}'", did_you_mean(name, known))
    return tuple(dict.fromkeys(asked or known))


def _read_archive(path: Path, config: IctSettings) -> IctArrays:
    arrays = files.read_npz(path, ["neutral", "triangles", "identity", "expression", "expression_names"])
    neutral = files.numbers(path, "neutral", arrays["neutral"], (None, 3)).astype(np.float32)
    count = len(neutral)
    triangles = files.numbers(path, "triangles", arrays["triangles"], (None, 3)).astype(np.int64)
    identity = files.numbers(path, "identity", arrays["identity"], (None, count, 3))
    expression = files.numbers(path, "expression", arrays["expression"], (None, count, 3))
    known = [str(name) for name in arrays["expression_names"].reshape(-1)]
    if len(known) != len(expression):
        raise AssetError(f"'{path}' names {len(known)} blendshapes and holds {len(expression)}")
    if len(identity) < config.identity:
        raise AssetError(
            f"'{path}' holds {len(identity)} identity modes, not {config.identity}",
            f"Set face_model.identity={len(identity)} or less.",
        )
    if config.expressions:
        names = _chosen(config.expressions, known, path)
    else:
        names = _chosen([], [name for name in known if name not in UNLISTED], path)
    rows = [known.index(name) for name in names]
    beside = [p for p in (path.parent / "FaceXModel" / INDICES, path.parent / INDICES) if p.is_file()]
    if beside:
        landmarks = _landmarks(_indices(beside[0])["idx_to_landmark_verts"], count, beside[0])
    elif count == VERTICES:
        landmarks = np.array(LANDMARKS, dtype=np.int64)
    else:
        raise AssetError(
            f"'{path}' has {count} vertices, not ICT-FaceKit's {VERTICES}, and no {INDICES} beside it"
        )
    return IctArrays(
        neutral,
        triangles,
        identity[: config.identity].astype(np.float32),
        expression[rows].astype(np.float32),
        names,
        landmarks,
    )


def data_of(arrays: IctArrays, albedo: int) -> MorphableData:
    """The model in world units, where aligned portraits show faces, with a generic albedo.

    Raises:
        AssetError: values that are not finite, or triangles of vertices that do not exist.
    """
    count = len(arrays.neutral)
    if not np.isfinite(arrays.neutral).all():
        raise AssetError("ICT-FaceKit's neutral mesh has vertices that are not finite")
    if arrays.triangles.size and not (arrays.triangles.min() >= 0 and arrays.triangles.max() < count):
        raise AssetError(f"ICT-FaceKit's triangles name vertices beyond its {count}")
    landmarks = multi_pie_66(arrays.landmarks).astype(np.int64)
    placement = Placement.aligned(arrays.neutral[landmarks])
    points = placement.points(arrays.neutral)
    published = count == VERTICES
    parts = {name: np.arange(*where) for name, where in PARTS.items()} if published else {}
    colours = generic_albedo(points, points[landmarks], parts, albedo)
    shown = front_of_face(canonical(points.astype(np.float64), points[landmarks].astype(np.float64)))
    if published:
        # Behind the skin all is shown but the clear layers over the eyes and the lashes, which hide them.
        shown[SKIN[1] :] = False
        for where in (*PARTS.values(), SOCKETS):
            shown[slice(*where)] = True
    region = arrays.triangles[shown[arrays.triangles].all(1)]
    ranges = {f"rotation.{name}": (-limit, limit) for name, limit in ROTATION_RANGES.items()}
    ranges |= {f"expression.{name}": (0.0, 1.0) for name in arrays.names}
    aliases = {
        name: amounts
        for name, amounts in ICT_ALIASES.items()
        if all(part in arrays.names for part in amounts)
    }
    return MorphableData(
        mean=points,
        identity=placement.differences(arrays.identity),
        expression=placement.differences(arrays.expression),
        albedo_mean=colours.mean,
        albedo=colours.basis,
        faces=arrays.triangles,
        landmark_vertices=landmarks,
        region=region,
        mirror=mirror_vertices(points, MIRROR_TOLERANCE * placement.scale),
        expression_names=arrays.names,
        albedo_names=colours.names,
        ranges=ranges | alias_ranges(aliases),
        expression_aliases=aliases,
    )
