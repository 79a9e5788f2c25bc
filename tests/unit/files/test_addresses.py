"""Addresses of assets, and digests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pie_framework.assets import digest, resolve
from pie_framework.errors import AssetError


def test_a_file_in_a_package():
    assert resolve("pkg://pie_framework/errors.py").name == "errors.py"


def test_a_path_and_its_digest(tmp_path: Path):
    file = tmp_path / "weights.bin"
    file.write_bytes(b"0123")
    right = hashlib.sha256(b"0123").hexdigest()
    assert digest(file) == right
    assert resolve(str(file), right) == file
    with pytest.raises(AssetError, match="not the file that was declared"):
        resolve(str(file), "0" * 64)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("pkg://pie_framework/gone.safetensors", "does not exist.*reinstall"),
        ("pkg://no_such_package/a.bin", "'no_such_package', which is not installed"),
        ("pkg://pie_framework", "not the address of a file"),
        ("pkg://pie_framework/../secret", "not the address of a file"),
        ("pkg://pie_framework//etc/hosts", "not the address of a file"),
        ("asset://net//etc/hosts", "not the address of an asset"),
        ("pkg://pie_framework/api", "is a folder"),
        ("nowhere/at/all.bin", "^'nowhere/at/all.bin' does not exist. Check the path.$"),
    ],
)
def test_what_cannot_be_resolved(uri: str, said: str):
    with pytest.raises(AssetError, match=said):
        resolve(uri)
