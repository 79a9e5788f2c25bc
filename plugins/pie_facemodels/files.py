"""Reading the files of face models: OBJ meshes and npz archives, as data that nobody vouches for."""

from __future__ import annotations

import contextlib
import itertools
import lzma
import os
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pie_framework.api import BuildContext
from pie_framework.errors import AssetError

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]

#: Largest OBJ file, npz archive when unpacked, bytes, and numbers of vertices and triangles of a mesh.
MAX_OBJ, MAX_NPZ, MAX_VERTICES, MAX_TRIANGLES = 1 << 26, 1 << 32, 1 << 21, 1 << 22
#: What Python, NumPy and the unpackers raise over bytes that are not what they should be.
DAMAGE = (
    OSError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, SyntaxError, EOFError, MemoryError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError,
)  # fmt: skip


def user_path(path: str, context: BuildContext) -> Path:
    """A file or folder that the user named."""
    return Path(context.asset(path, folder=True))


@contextlib.contextmanager
def damage(path: Path, what: str) -> Iterator[None]:
    """Turns what reading damaged data raises into an AssetError: "'path' WHAT: reason"."""
    try:
        yield
    except DAMAGE as error:
        raise AssetError(f"'{path}' {what}: {str(error)[:200] or type(error).__name__}") from error


def read_obj(path: Path, with_faces: bool) -> tuple[Floats, Index]:
    """Vertices (V, 3) and, if wanted, triangles (F, 3), else (0, 3), of a Wavefront OBJ file.

    Polygons become fans of triangles. Texture coordinates, normals, groups and materials are passed over.

    Raises:
        AssetError: the file is absent, too large, or holds something else than numbers, or vertices that do not exist.
    """
    try:
        if path.stat().st_size > MAX_OBJ:
            raise AssetError(f"'{path}' has more than {MAX_OBJ >> 20} MB: that is no mesh of a face")
        data = path.read_bytes()
    except OSError as error:
        raise AssetError(f"'{path}' cannot be read: {error.strerror}") from error
    end = max(data.rfind(b"\nv "), data.rfind(b"\nv\t")) + 1
    stop = data.find(b"\n", end)
    head = data[: stop if stop >= 0 else len(data)]
    lines = [line for line in head.splitlines() if line.startswith((b"v ", b"v\t"))]
    if not lines:
        raise AssetError(f"'{path}' has no vertices: it is no OBJ mesh")
    if len(lines) > MAX_VERTICES:
        raise AssetError(f"'{path}' has {len(lines)} vertices: that is no mesh of a face")
    try:
        rows = [line.decode("ascii") for line in lines]
        vertices = np.loadtxt(rows, dtype=np.float64, usecols=(1, 2, 3), comments=None, ndmin=2)
    except (ValueError, UnicodeDecodeError) as error:
        raise AssetError(f"'{path}' has a vertex that is not three numbers: {error}") from error
    if not np.isfinite(vertices).all():
        raise AssetError(f"'{path}' has vertices that are not finite")
    faces = _faces(path, data, len(vertices)) if with_faces else np.zeros((0, 3), dtype=np.int64)
    return vertices.astype(np.float32), faces


def _faces(path: Path, data: bytes, count: int) -> Index:
    triangles: list[tuple[int, int, int]] = []
    for line in data.splitlines():
        if not line.startswith((b"f ", b"f\t")):
            continue
        try:
            numbers = [int(token.partition(b"/")[0]) for token in line.split()[1:]]
        except ValueError as error:
            raise AssetError(f"'{path}' has a face that is not made of numbers: {line[:60]!r}") from error
        corners = [number - 1 if number > 0 else count + number for number in numbers]
        if len(corners) < 3 or 0 in numbers or not all(0 <= corner < count for corner in corners):
            raise AssetError(f"'{path}' has a face that its {count} vertices do not make: {line[:60]!r}")
        triangles += [(corners[0], b, c) for b, c in itertools.pairwise(corners[1:])]
        if len(triangles) > MAX_TRIANGLES:
            raise AssetError(f"'{path}' has more than {MAX_TRIANGLES} triangles: that is no mesh of a face")
    if not triangles:
        raise AssetError(f"'{path}' has no faces")
    return np.array(triangles, dtype=np.int64)


def read_npz(path: Path, wanted: Iterable[str], optional: Iterable[str] = ()) -> dict[str, Array]:
    """The wanted arrays of an npz archive, and the optional ones that are there; pickled ones are refused.

    Raises:
        AssetError: it is no archive, too large when unpacked, or lacks an array.
    """
    wanted = list(wanted)
    with damage(path, "is no npz archive of plain arrays"):
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
        if total > MAX_NPZ:
            raise AssetError(f"'{path}' unpacks to {total >> 20} MB: that is no face model")
        with np.load(path, allow_pickle=False) as arrays:
            missing = [name for name in wanted if name not in arrays.files]
            if missing:
                raise AssetError(
                    f"'{path}' lacks {', '.join(missing)}", f"It holds: {', '.join(arrays.files[:20])}."
                )
            chosen = [*wanted, *(name for name in optional if name in arrays.files)]
            return {name: arrays[name] for name in chosen}


def numbers(source: Path, name: str, array: Array, shape: tuple[int | None, ...]) -> Array:
    """The array if it holds numbers and has the shape (None for any length); AssetError otherwise."""
    fits = array.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if array.dtype.kind not in "fiu" or not fits:
        wanted = " x ".join("any" if n is None else str(n) for n in shape)
        raise AssetError(
            f"'{source}': {name} is an array {array.shape} of {array.dtype}, expected numbers {wanted}"
        )
    return array


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where this user's programs keep what they can make again."""
    env = os.environ if environment is None else environment
    if sys.platform == "win32":
        base = Path(env.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "pie-framework" / "face_models"


def write_cache(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write an npz under a temporary name and rename it; where that is not possible there is no cache."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            np.savez(stream, **dict(arrays))  # type: ignore[arg-type]
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
