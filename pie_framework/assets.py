"""Where weight files and other assets lie, and whether they are the ones that were declared."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path, PurePosixPath

from pie_framework.errors import AssetError

PACKAGE_SCHEME = "pkg://"


def resolve(uri: str, sha256: str | None = None) -> Path:
    """The file that an asset's address means.

    Args:
        uri: `pkg://package/path` for a file inside an installed package, or a path, relative to the working
            directory; `~` is the home directory.
        sha256: hexadecimal digest the file must have; not checked when None.

    Raises:
        AssetError: the package or file is absent, or the digest differs.
    """
    path = _in_package(uri) if uri.startswith(PACKAGE_SCHEME) else Path(uri).expanduser()
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        hint = (
            "The package is incomplete: reinstall it, or train the model with 'pie train'."
            if uri.startswith(PACKAGE_SCHEME)
            else "Check the path."
        )
        raise AssetError(f"the asset '{uri}' {what} ({path})", hint)
    if sha256 is not None:
        found = digest(path)
        if found != sha256.lower():
            raise AssetError(
                f"the asset '{uri}' is not the file that was declared: its sha256 begins {found[:12]}, "
                f"expected {sha256[:12]}",
                "It is damaged or was replaced: reinstall the package, or name the new file in the configuration.",
            )
    return path


def digest(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    sha = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def _in_package(uri: str) -> Path:
    """`pkg://package/path` as a path; the package itself is not imported."""
    package, _, inside = uri.removeprefix(PACKAGE_SCHEME).partition("/")
    if not package or not inside or ".." in PurePosixPath(inside).parts:
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
