"""The page of a report, section by section. All text from outside goes through `escape`."""

from __future__ import annotations

import base64
import math
import statistics
from collections.abc import Mapping, Sequence
from html import escape
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pie_framework.editing import wording
from pie_framework.runs.folder import Manifest, RunFolder
from pie_framework.runs.report import html
from pie_framework.runs.report.curves import COLOURS, Series, chart, spread

MAX_ANIMATION_BYTES = 6_000_000

_OUTCOMES = {
    "finished": "good",
    "converged": "good",
    "interrupted": "warn",
    "running": "warn",
    "non-finite": "bad",
}
_METRICS = {
    "psnr": ("PSNR", "dB", ".1f"),
    "ssim": ("SSIM", "", ".3f"),
    "identity_similarity": ("identity similarity", "", ".3f"),
}


def render_report(run: RunFolder) -> str:
    """The report of a run folder as one HTML page, made from the files that lie in it."""
    manifest = run.read_manifest()
    names = [Path(text).name or text for text in map(str, manifest.inputs)]
    title = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or run.path.name
    body = [
        _summary(manifest, title),
        _portraits(run, names),
        _edits(run, len(names)),
        _energies(run, manifest),
        _appendix(manifest),
    ]
    return html.document(f"{title} · portrait embedding", body)


def _summary(manifest: Manifest, title: str) -> str:
    facts = [html.fact("energy E(w)", html.number(_mean(manifest.energies.get("total"))))]
    for name, values in manifest.metrics.items():
        label, unit, form = _METRICS.get(name, (wording.title(name), "", ".4g"))
        facts.append(html.fact(label, html.number(_mean(values), form), unit))
    facts.append(html.fact("steps", str(manifest.steps)))
    if "total" in manifest.timings:
        facts.append(html.fact("time", html.number(manifest.timings["total"], ".1f"), "s"))
    count = len(manifest.inputs)
    about = f"{count} portraits, values are means · " if count > 1 else ""
    message = f": {manifest.message}" if manifest.message else ""
    return (
        f"<header><h1>{escape(title)}</h1>"
        f'<p><span class="outcome {_OUTCOMES.get(manifest.outcome, "warn")}">{escape(manifest.outcome)}</span>'
        f"{escape(message)}</p>"
        f"<p>{about}seed {manifest.seed} · {escape(manifest.created)}</p></header>"
        f'<div class="facts">{"".join(facts)}</div>'
    )


def _mean(values: Any) -> float:
    """Mean of the numbers in a list, or of the one number; nan when there is none."""
    numbers = [v for v in (values if isinstance(values, list) else [values]) if isinstance(v, (int, float))]
    return statistics.fmean(numbers) if numbers else math.nan


def _portraits(run: RunFolder, names: Sequence[str]) -> str:
    rows = []
    pictures = zip_longest(run.pictures("input"), run.pictures("reconstruction"))
    for index, (given, made) in enumerate(pictures):
        shown, result = (html.picture_uri(path) if path else None for path in (given, made))
        name = f" · {names[index]}" if len(names) > 1 and index < len(names) else ""
        figures = []
        if shown:
            figures.append(html.figure(html.image(shown, "input"), f"input, aligned{name}"))
        if result:
            figures.append(html.figure(html.image(result, "reconstruction"), "reconstruction G(w)"))
        if shown and result:
            both = (
                f'<div class="slider">{html.image(shown, "input")}{html.image(result, "reconstruction")}'
                '<input type="range" min="0" max="100" value="50" aria-label="Compare input and reconstruction"></div>'
            )
            figures.append(html.figure(both, "drag to compare: input left, reconstruction right"))
        rows.append(f'<div class="pair">{"".join(figures)}</div>')
    return f"<section><h2>Portrait</h2>{''.join(rows)}</section>" if rows else ""


def _edits(run: RunFolder, portraits: int) -> str:
    cards = [_sweep(run, r) if len(r["frames"]) > 1 else _edit(run, r, portraits) for r in run.edits()]
    if not cards:
        return ""
    note = (
        "Passes through the rig networks, without optimisation. Achieved values are read back from the edited "
        "picture by the face encoder; identity is the similarity of the recognition embeddings of the "
        "reconstruction and the edit (1 is the same)."
    )
    return f'<section><h2>Edits</h2><p class="note">{note}</p><div class="edits">{"".join(cards)}</div></section>'


def _edit(run: RunFolder, record: Mapping[str, Any], portraits: int) -> str:
    frame = record["frames"][0]
    name = wording.title(str(record.get("name", "")))
    if portraits > 1:
        name += f" · portrait {int(record.get('portrait', 0)) + 1}"
    rows = [
        (wording.label(reading["control"]), *_asked_and_achieved(reading)) for reading in frame["readings"]
    ]
    similarity = frame.get("identity_similarity")
    identity = f"<p>identity {html.number(similarity, '.2f')}</p>" if similarity is not None else ""
    return (
        f'<article class="edit">{_picture(run, frame, name)}<div class="text"><h3>{escape(name)}</h3>'
        f"{html.table(('', 'asked', 'achieved'), rows)}{identity}{_warnings([frame])}</div></article>"
    )


def _sweep(run: RunFolder, record: Mapping[str, Any]) -> str:
    frames = record["frames"]
    name = wording.title(str(record.get("name", "")))
    film = "".join(_picture(run, frames[index], "frame") for index in spread(len(frames), 12))
    rows = [
        (
            *(cell for reading in frame["readings"] for cell in _asked_and_achieved(reading)),
            html.number(frame.get("identity_similarity"), ".2f"),
        )
        for frame in frames
    ]
    labels = [wording.label(reading["control"]) for reading in frames[0]["readings"]]
    head = [text for label in labels for text in (f"{label} asked", "achieved")]
    table = html.table((*head, "identity"), rows)
    moving = _animation_uri(run.edit_file(record.get("webp")))
    return (
        f'<article class="edit">{html.image(moving, name, "sweep") if moving else ""}'
        f'<div class="text"><h3>{escape(name)}</h3><p>{len(frames)} frames</p></div></article>'
        f'<article class="edit wide"><div class="film">{film}</div><div class="text">'
        f"<details><summary>{escape(name)}: asked and achieved</summary>{table}</details>"
        f"{_warnings(frames, most=4)}</div></article>"
    )


def _asked_and_achieved(reading: Mapping[str, Any]) -> tuple[str, str]:
    """Both values in words; of vectors only how far they are apart."""
    _, _, asked, achieved, error = wording.row(reading)
    return ("", f"{error} off") if isinstance(reading["asked"], list) else (asked, achieved)


def _warnings(frames: Sequence[Mapping[str, Any]], most: int | None = None) -> str:
    texts = dict.fromkeys(str(text) for frame in frames for text in frame.get("warnings", ()))
    return "".join(f'<p class="warn">{escape(text)}</p>' for text in list(texts)[:most])


def _picture(run: RunFolder, frame: Mapping[str, Any], alt: str) -> str:
    """The picture of an edit as HTML; "" when it is missing or damaged."""
    path = run.edit_file(frame.get("picture"))
    uri = html.picture_uri(path) if path else None
    return html.image(uri, alt) if uri else ""


def _animation_uri(path: Path | None) -> str | None:
    """A WebP animation as it is; None when it is missing, too large or no WebP."""
    if path is None or path.stat().st_size > MAX_ANIMATION_BYTES:
        return None
    content = path.read_bytes()
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        return None
    return f"data:image/webp;base64,{base64.b64encode(content).decode('ascii')}"


def _energies(run: RunFolder, manifest: Manifest) -> str:
    rows = run.read_energies()
    if not rows:
        return ""
    missing: list[float | None] = [None] * len(rows)
    columns = {name: [_float(row[name]) for row in rows] for name in rows[0]}
    weighted = [name for name in columns if name.startswith("weighted.")]
    series = [Series("total", columns.get("total", missing))]
    series += [
        Series(name.removeprefix("weighted."), columns[name]) for name in weighted if any(columns[name])
    ]
    steps = [int(step or index) for index, step in enumerate(columns.get("step", missing), start=1)]
    drawn = chart("energies", steps, [row.get("stage", "") for row in rows], series)
    total, table = series[0].last, []
    for index, one in enumerate(series):
        key = f'<i class="key" style="background:var(--c{index % COLOURS})"></i>{escape(one.name)}'
        button = f'<button data-chart="energies" data-series="{index}" aria-pressed="true">{key}</button>'
        raw = html.number(Series("", columns.get(f"raw.{one.name}", missing)).last) if index else ""
        share = f"{100 * one.last / total:.1f} %" if index and one.last is not None and total else ""
        table.append((button, raw, html.number(one.first), html.number(one.last), share))
    head = ("term", "raw", "weighted, first step", "weighted, last step", "share")
    note = "Weighted terms of E(w) at every step, logarithmic scale"
    if len(manifest.inputs) > 1:
        note += ", mean over the portraits"
    return (
        f'<section><h2>Energy</h2><p class="note">{note}. Choose a term in the table to hide it.</p>'
        f'<div class="panel">{drawn}<div class="terms">{html.table(head, table, html=True)}</div></div></section>'
    )


def _float(text: str) -> float | None:
    """A finite number; None for anything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _appendix(manifest: Manifest) -> str:
    parts = [html.folded("Configuration", html.settings(manifest.config))]
    rows: list[tuple[str, ...]]
    if manifest.timings:
        rows = [(name, f"{html.number(value, '.2f')} s") for name, value in manifest.timings.items()]
        parts.append(html.folded("Time", html.table(("phase", "seconds"), rows)))
    if len(manifest.inputs) > 1 and manifest.metrics:
        head = ("portrait", *(_METRICS.get(name, (wording.title(name),))[0] for name in manifest.metrics))
        columns = [values if isinstance(values, list) else [] for values in manifest.metrics.values()]
        rows = [
            (str(name), *(html.number(*(values[index : index + 1] or [None])) for values in columns))
            for index, name in enumerate(manifest.inputs)
        ]
        parts.append(html.folded("Metrics per portrait", html.table(head, rows)))
    for title, records in (("Components", manifest.plugins), ("Assets and licences", manifest.licences)):
        if records:
            parts.append(html.folded(title, _records(records)))
    if manifest.versions:
        rows = [(name, str(version)) for name, version in manifest.versions.items()]
        parts.append(html.folded("Versions", html.table(("package", "version"), rows)))
    return f"<section><h2>How it was made</h2>{''.join(parts)}</section>"


def _records(records: Sequence[Any]) -> str:
    rows = [record for record in records if isinstance(record, Mapping)]
    head = list(dict.fromkeys(str(key) for record in rows for key in record))
    table = html.table(head, [[str(record.get(key, "")) for key in head] for record in rows])
    return f'<div class="words">{table}</div>'
