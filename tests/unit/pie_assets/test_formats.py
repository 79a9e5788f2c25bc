"""What a file is by its content."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from pie_assets import formats
from pie_framework.errors import AssetError


def _safetensors(cut: int = 0) -> bytes:
    header = json.dumps(
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": {"x": "y"}}
    )
    return len(header).to_bytes(8, "little") + header.encode() + bytes(8 - cut)


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", "b")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("kind", "content", "fits"),
    [
        ("safetensors", _safetensors(), True),
        ("safetensors", _safetensors(cut=1), False),
        ("safetensors", b"\xff" * 40, False),
        ("safetensors", (30).to_bytes(8, "little") + b"{" + b"x" * 29, False),
        ("torch", _zip(), True),
        ("torch", _zip()[:-4], False),
        ("torch", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80", True),
        ("torch", b"\x80\x02K\x01.", False),
        ("npz", _zip(), True),
        ("npy", b"\x93NUMPY\x01\x00", True),
        ("mat", b"MATLAB 5.0 MAT-file", True),
        ("mat", b"\x80\x02K\x01.", False),
        ("pickle", b"(dp0\n.", True),
        ("pickle", b"\x80\x09.", False),
    ],
    ids=range(14),  # not by content: a zip file holds the time, and every worker must name the tests alike
)
def test_formats_by_content(tmp_path: Path, kind: str, content: bytes, fits: bool) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    if fits:
        formats.check(path, kind, "it")
    else:
        with pytest.raises(AssetError):
            formats.check(path, kind, "it")
