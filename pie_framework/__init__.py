"""PIE: portrait image embedding for semantic control."""

from __future__ import annotations

from pathlib import Path

__version__ = "0.1.0"

# An installed wheel holds the configuration as pie_framework/conf; in a source checkout it lies at the top level,
# beside this package, and becomes importable under the same name.
if not (Path(__file__).parent / "conf").is_dir():
    __path__.append(str(Path(__file__).parent.parent))
