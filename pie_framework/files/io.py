"""Reading and writing files: atomic writes, pictures, JSON, CSV and tensors. Reading photos is `images.py`.

Everything is written under a temporary name in the same folder and then renamed, so that a reader, or a run
that is killed, never meets half a file. Nothing here imports torch until a tensor is handled.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pie_framework.errors import RunError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an error.

    The temporary file keeps the suffix, for writers that choose a format by it. When the block raises, it is
    removed and what was at `path` before stays as it was. Missing parent folders are created.

    Raises:
        RunError: when the folder cannot be written to.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.stem}-{uuid.uuid4().hex[:12]}{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise RunError(
            f"cannot write '{target}': {error.strerror or error}", "Choose a folder you may write to."
        ) from error
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text atomically, with `\\n` line ends."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON atomically, indented; numbers that are not finite become null."""
    write_text(path, json.dumps(jsonable(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def jsonable(value: Any) -> Any:
    """The value in JSON's own types: tuples to lists, unknown objects to text, nan and infinity to None."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items: Sequence[Any] = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return [jsonable(item) for item in items]
    if callable(getattr(value, "tolist", None)):
        return jsonable(value.tolist())
    return str(value)


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        RunError: when it is missing, is not text, or is not JSON; the message says in which line.
    """
    source = Path(path)
    try:
        return json.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"there is no file '{source}'") from error
    except OSError as error:
        raise RunError(f"cannot read '{source}': {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RunError(f"'{source}' is not UTF-8 text") from error
    except (json.JSONDecodeError, RecursionError) as error:
        where = f" (line {error.lineno}: {error.msg})" if isinstance(error, json.JSONDecodeError) else ""
        raise RunError(f"'{source}' is not valid JSON{where}") from error


def write_csv(
    path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Write a table atomically: a header, then the rows; a value that a row lacks is left empty."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """The rows of a table as text by column name; RunError when it cannot be read."""
    try:
        with Path(path).open(encoding="utf-8", newline="") as stream:
            return [{key: value or "" for key, value in row.items() if key} for row in csv.DictReader(stream)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"cannot read the table '{path}': {error}") from error


def to_pil(image: Tensor) -> Image.Image:
    """One image, (3, H, W) or (1, 3, H, W) in [-1, 1], as an RGB picture; nan becomes black."""
    from pie_framework.images.photo import to_picture

    if image.dim() == 4:
        if image.shape[0] != 1:
            raise ValueError(f"one picture at a time, not a batch of {image.shape[0]}")
        image = image[0]
    return to_picture(image.nan_to_num(-1.0))


def save_png(path: str | os.PathLike[str], image: Tensor | Image.Image) -> None:
    """Write a picture, or an image tensor (3, H, W) or (1, 3, H, W) in [-1, 1], as PNG, atomically."""
    from PIL import Image as PILImage

    picture = image if isinstance(image, PILImage.Image) else to_pil(image)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")


def save_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named tensors as safetensors, atomically; dtype and bits are kept, the device is not."""
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(plain, metadata=dict(metadata or {})))


def load_tensors(
    path: str | os.PathLike[str], device: str = "cpu"
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: its tensors and its metadata.

    Raises:
        RunError: when it is missing, cut short, or not a safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    source = Path(path)
    if not source.is_file():
        raise RunError(f"there is no file '{source}'")
    try:
        with safe_open(str(source), framework="pt", device=device) as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            metadata = dict(stream.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(f"'{source}' is damaged: {error}") from error
    return tensors, metadata
