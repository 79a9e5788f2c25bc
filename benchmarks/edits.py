"""Asked-for against achieved: the bundled portraits embedded under several energies, then edited.

    python benchmarks/edits.py energy=full energy=synth

embeds the bundled held-out portraits once per argument (each argument holds overrides of `pie run`, separated by
spaces), makes the same edits of each, and prints the means: reconstruction PSNR and SSIM, and for each edit the
distance of what was achieved from what was asked, and the identity similarity, with the corrections that edits make by
default and in a single pass. Achieved values are read back from the
edited image by the face encoder.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pie_framework import Pipeline
from pie_framework.io import write_json

EDITS = {
    "yaw -15": ["rotation.yaw=-15"],
    "yaw +15": ["rotation.yaw=15"],
    "smile 0.8": ["expression.smile=0.8"],
    "light from left": ["illumination.from=left"],
}


def measure(overrides: Sequence[str], portraits: Sequence[str]) -> dict[str, float]:
    """Means over the portraits, by name of the figure."""
    pipeline = Pipeline.compose(*overrides)
    started = time.perf_counter()
    embedding = pipeline.embed(*portraits)
    seconds = time.perf_counter() - started
    metrics = embedding.metrics()
    figures = {name: _mean(values) for name, values in metrics.items()}
    for way, corrections in (("", None), (", single pass", 0)):
        for edit, controls in EDITS.items():
            results = [embedding.edit(controls, i, corrections=corrections)[0] for i in range(len(portraits))]
            errors = [result.readings[0].error for result in results]
            identities = [float(result.identity_similarity or 0.0) for result in results]
            figures[f"{edit}{way}: error"] = _mean(errors)
            figures[f"{edit}{way}: identity"] = _mean(identities)
    figures["seconds per portrait"] = seconds / len(portraits)
    return figures


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="+", help="overrides of one setting, separated by spaces")
    parser.add_argument(
        "--portraits", type=int, default=8, help="how many bundled portraits to use (at most 8)"
    )
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    portraits = [f"example:{i}" for i in range(arguments.first, arguments.first + arguments.portraits)]
    results = {text: measure(text.split(), portraits) for text in arguments.overrides}
    table = Table("mean over the portraits", *results)
    for figure in next(iter(results.values())):
        table.add_row(figure, *(f"{result[figure]:.4g}" for result in results.values()))
    Console(width=160).print(table)
    if arguments.json:
        write_json(arguments.json, results)
    else:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
