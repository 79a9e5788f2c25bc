"""From rows to results: means with their standard errors, per method, kind of edit and edit. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pie_bench.columns import ASKED_ERROR, COLUMNS, SECONDS
from pie_bench.rows import Row
from pie_bench.settings import RECONSTRUCTION
from pie_framework.errors import RunError

#: The method that the others' edit errors are compared with.
BASELINE = "synth"

Stats = dict[str, dict[str, Any]]


def summarise(rows: Iterable[Row], bench: Mapping[str, Any]) -> dict[str, Any]:
    """Everything the tables and the page show, as JSON's own types.

    Args:
        rows: of which the last one counts where several are of the same picture.
        bench: the settings and methods of the bench, as in its bench.json; says in which order methods and
            edits come.

    Returns:
        `bench`; `methods`: name -> `summary`, `seeds`, `portraits`, `pictures`, statistics of the
        `reconstruction`, of the `edits` and of those of each kind (`rotation`, `expression`, `illumination`), and
        `relative`, see `relative`; `edits`: name -> `block`, `controls` and the statistics of every method;
        `rows`. Statistics are column -> `mean` and `error`, the standard error of the mean over the portraits
        (null for a single one), of which there are `portraits`.

    Raises:
        RunError: there is no row.
    """
    unique = {(row.method, row.seed, row.portrait, row.edit): row for row in rows}
    kept = list(unique.values())
    if not kept:
        raise RunError("there is nothing to report: no row was written yet", "Run `pie bench` first.")
    summaries, controls = method_summaries(bench), edit_controls(bench)
    methods = _ordered((row.method for row in kept), summaries)
    edits = _ordered((row.edit for row in kept if row.edit != RECONSTRUCTION), controls)
    of_method = {name: [row for row in kept if row.method == name] for name in methods}
    baseline = of_method.get(BASELINE, [])
    found: dict[str, Any] = {"bench": dict(bench), "baseline": BASELINE if baseline else None, "methods": {}}
    for name, own in of_method.items():
        found["methods"][name] = {
            "summary": summaries.get(name, ""),
            "seeds": sorted({row.seed for row in own}),
            "portraits": len({row.portrait for row in own}),
            "pictures": len(own),
            RECONSTRUCTION: statistics(row for row in own if row.edit == RECONSTRUCTION),
            "edits": statistics(row for row in own if row.edit != RECONSTRUCTION),
            **{block: statistics(row for row in own if row.block == block) for block in ASKED_ERROR},
            "relative": relative(own, baseline),
        }
    found["edits"] = {
        edit: {
            "block": next(row.block for row in kept if row.edit == edit),
            "controls": controls.get(edit, []),
            "methods": {
                name: statistics(row for row in own if row.edit == edit) for name, own in of_method.items()
            },
        }
        for edit in edits
    }
    found["rows"] = [row.to_json() for name in methods for row in sorted(of_method[name], key=_place(edits))]
    return found


def statistics(rows: Iterable[Row]) -> Stats:
    """Per column the mean over the portraits, of each portrait's mean, and its standard error; {} without rows.

    Values that are not finite are left out; a column without any is missing.
    """
    per_portrait: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        for name, value in {**row.measures, SECONDS.name: row.seconds}.items():
            if math.isfinite(value):
                per_portrait.setdefault(name, {}).setdefault(row.portrait, []).append(value)
    found: Stats = {}
    for name in (*COLUMNS, SECONDS.name):
        if name in per_portrait:
            means = [sum(values) / len(values) for values in per_portrait[name].values()]
            mean, count = sum(means) / len(means), len(means)
            spread = sum((value - mean) ** 2 for value in means)
            error = math.sqrt(spread / (count - 1) / count) if count > 1 else None
            found[name] = {"mean": mean, "error": error, "portraits": count}
    return found


def relative(rows: Sequence[Row], baseline: Sequence[Row]) -> dict[str, float | None]:
    """How large a method's edit errors are as a share of the baseline's; 1 is the same, less is better.

    Over the portraits and edits that both have. `rotation`, `expression`, `illumination`: the mean error of what
    was achieved against what was asked, over the baseline's. `asked`: mean of these three, of those there are.
    `perceptual`, `perceptual_face`: the same for the distance of all edits to the truth. None where the
    baseline has no such error.
    """
    found: dict[str, float | None] = {
        block: _ratio(rows, baseline, column, lambda row, block=block: row.block == block)  # type: ignore[misc]
        for block, column in ASKED_ERROR.items()
    }
    ratios = [value for value in found.values() if value is not None]
    found["asked"] = sum(ratios) / len(ratios) if ratios else None
    for column in ("perceptual", "perceptual_face"):
        found[column] = _ratio(rows, baseline, column, lambda row: row.edit != RECONSTRUCTION)
    return found


def _ratio(
    rows: Sequence[Row], baseline: Sequence[Row], column: str, chosen: Callable[[Row], bool]
) -> float | None:
    both = {(row.portrait, row.edit) for row in rows} & {(row.portrait, row.edit) for row in baseline}
    means = []
    for some in (rows, baseline):
        values = (
            row.measures.get(column, math.nan)
            for row in some
            if chosen(row) and (row.portrait, row.edit) in both
        )
        finite = [value for value in values if math.isfinite(value)]
        means.append(sum(finite) / len(finite) if finite else math.nan)
    return means[0] / means[1] if means[1] > 0 and math.isfinite(means[0]) else None


def missing(results: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Methods that lack pictures which others have: name -> (how many there are, of how many)."""
    pictures = {(row["seed"], row["portrait"], row["edit"]) for row in results["rows"]}
    counts = {name: method["pictures"] for name, method in results["methods"].items()}
    return {name: (count, len(pictures)) for name, count in counts.items() if count < len(pictures)}


def method_summaries(bench: Mapping[str, Any]) -> dict[str, str]:
    """Methods of a bench.json in their order with their summaries."""
    return {str(name): str(about.get("summary", "")) for name, about in bench.get("methods", {}).items()}


def edit_controls(bench: Mapping[str, Any]) -> dict[str, list[str]]:
    """Edits of a bench.json in their order with their words."""
    edits = bench.get("edits", {})
    return {str(name): [str(word) for word in about.get("controls", ())] for name, about in edits.items()}


def _ordered(names: Iterable[str], first: Iterable[str]) -> list[str]:
    """The names there are, each once: those of `first` in its order, then the others by the alphabet."""
    there, order = set(names), list(first)
    return [name for name in order if name in there] + sorted(there.difference(order))


def _place(edits: Sequence[str]) -> Callable[[Row], tuple[int, int, int]]:
    position = {name: index for index, name in enumerate((RECONSTRUCTION, *edits))}
    return lambda row: (row.seed, row.portrait, position[row.edit])
