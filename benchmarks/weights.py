"""What weight files say about themselves: size, checksum, parameters, and the notes of the recipe that made them.

    python benchmarks/weights.py [FILE ...]

Without arguments the shipped files are read. Only headers are read; nothing is built or executed.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from pie_framework.assets import digest
from pie_framework.errors import PieError
from pie_framework.plugins import discover


def describe(path: Path) -> dict[str, Any]:
    """The file's record: kind, MB, sha256, number of values, notes; PieError when it is no weight file."""
    try:
        with safe_open(str(path), framework="np") as stream:
            metadata = stream.metadata() or {}
            shapes = [stream.get_slice(name).get_shape() for name in stream.keys()]  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise PieError(f"'{path}' is not a weight file: {error}", "Give a .safetensors file.") from error
    header = json.loads(metadata["pie"]) if "pie" in metadata else {}
    notes = header.get("notes") or json.loads(metadata.get("notes", "{}"))
    return {
        "kind": metadata.get("kind") or header.get("format", "not stated"),
        "megabytes": round(path.stat().st_size / 1e6, 2),
        "sha256": digest(path),
        "values": sum(math.prod(shape) for shape in shapes),
        "notes": notes,
    }


def shipped() -> list[Path]:
    """The weight files beside the bundled examples' package, in the order of their components."""
    from pie_framework.assets import resolve

    addresses = [asset.uri for component in discover().components() for asset in component.assets]
    return [resolve(uri) for uri in dict.fromkeys(addresses) if uri.endswith(".safetensors")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one record per file; returns the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        total = 0.0
        for path in [Path(word) for word in words] or shipped():
            record = describe(path)
            total += record["megabytes"]
            print(f"{path.name}: {record['kind']}, {record['megabytes']} MB, {record['values']:,} values")
            print(f"  sha256 {record['sha256']}")
            for name, value in record["notes"].items():
                print(f"  {name}: {json.dumps(value, ensure_ascii=False)}")
        print(f"together {total:.1f} MB")
    except PieError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
