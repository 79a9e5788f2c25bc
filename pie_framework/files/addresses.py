"""Where weight files and other assets lie, and whether they are the ones that were declared."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pie_framework.errors import AssetError

PACKAGE_SCHEME = "pkg://"
ASSET_SCHEME = "asset://"


def resolve(uri: str, sha256: str | None = None, folder: bool = False) -> Path:
    """The file that an asset's address means.

    Args:
        uri: `pkg://package/path` for a file inside an installed package, or a path, relative to the working directory;
            `~` is the home directory.
        sha256: hexadecimal digest the file must have; not checked when None.
        folder: whether a folder will do as well as a file.

    Raises:
        AssetError: the package or file is absent, or the digest differs.
    """
    path = _in_package(uri) if uri.startswith(PACKAGE_SCHEME) else Path(uri).expanduser()
    return checked(path, uri, sha256, folder)


def checked(path: Path, uri: str, sha256: str | None = None, folder: bool = False) -> Path:
    """The path of an asset, found to be there and to have its digest; arguments and errors as of `resolve`."""
    if not path.is_file() and not (folder and path.is_dir()):
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        hint = (
            "The package is incomplete: reinstall it, or train the model with 'pie train'."
            if uri.startswith(PACKAGE_SCHEME)
            else "Check the path."
        )
        named = f"the asset '{uri}' {what} ({path})" if "://" in uri else f"'{path}' {what}"
        raise AssetError(named, hint)
    if sha256 is not None:
        actual = digest(path)
        if actual != sha256.lower():
            raise AssetError(
                f"the asset '{uri}' is not the file that was declared: its sha256 begins {actual[:12]}, "
                f"expected {sha256[:12]}",
                "It is damaged or was replaced: reinstall the package, or name the new file in the configuration.",
            )
    return path


def digest(path: Path) -> str:
    """Hexadecimal SHA-256 of a file; of a folder, of the sorted list of its files' digests and relative names."""
    sha = hashlib.sha256()
    if path.is_dir():
        for file in sorted(_files(path)):
            sha.update(f"{digest(file)}  {file.relative_to(path).as_posix()}\n".encode())
        return sha.hexdigest()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in _files(path))
    return path.stat().st_size


def _files(folder: Path) -> Iterator[Path]:
    """All files of a folder, those of its version control left out."""
    for path in folder.rglob("*"):
        if path.is_file() and ".git" not in path.relative_to(folder).parts:
            yield path


def _in_package(uri: str) -> Path:
    """`pkg://package/path` as a path; the package itself is not imported."""
    package, _, inside = uri.removeprefix(PACKAGE_SCHEME).partition("/")
    if not package or not inside or inside.startswith("/") or ".." in PurePosixPath(inside).parts:
        raise AssetError(
            f"'{uri}' is not the address of a file in a package", "Write pkg://package/path/to/file."
        )
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    folders = [] if spec is None else [Path(p) for p in spec.submodule_search_locations or ()]
    if not folders:
        raise AssetError(f"the asset '{uri}' lies in the package '{package}', which is not installed")
    return next((f / inside for f in folders if (f / inside).exists()), folders[0] / inside)
