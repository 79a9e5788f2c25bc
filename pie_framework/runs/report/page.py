"""The page of a report, section by section. All text from outside goes through `escape`."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from pie_framework.editing import wording
from pie_framework.runs.folder import Manifest, RunFolder
from pie_framework.runs.report import html
from pie_framework.runs.report.curves import COLOURS, Series, chart

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


def _mean(values: Any) -> float:
    numbers = (
        [values] if isinstance(values, (int, float)) else list(values) if isinstance(values, list) else []
    )
    numbers = [float(v) for v in numbers if isinstance(v, (int, float))]
    return sum(numbers) / len(numbers) if numbers else math.nan


def _summary(manifest: Manifest, title: str) -> str:
    kind = _OUTCOMES.get(manifest.outcome, "warn")
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
        f'<p><span class="outcome {kind}">{escape(manifest.outcome)}</span>{escape(message)}</p>'
        f"<p>{escape(about)}seed {escape(str(manifest.seed))} · {escape(manifest.created)}</p></header>"
        f'<div class="facts">{"".join(facts)}</div>'
    )


def _animation_uri(path: Path) -> str | None:
    """A WebP animation as it is; None when it is missing, too large or no WebP."""
    if not path.is_file() or path.stat().st_size > MAX_ANIMATION_BYTES:
        return None
    content = path.read_bytes()
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        return None
    return f"data:image/webp;base64,{base64.b64encode(content).decode('ascii')}"


def _portraits(run: RunFolder, names: Sequence[str]) -> str:
    inputs = [html.picture_uri(path) for path in run.pictures("input")]
    made = [html.picture_uri(path) for path in run.pictures("reconstruction")]
    rows = []
    for index in range(max(len(inputs), len(made))):
        shown = inputs[index] if index < len(inputs) else None
        result = made[index] if index < len(made) else None
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
    if not any(cards):
        return ""
    note = (
        "Passes through the rig networks, without optimisation. Achieved values are read back from the edited "
        "picture by the face encoder; identity is the similarity of the recognition embeddings of the "
        "reconstruction and the edit (1 is the same)."
    )
    return f'<section><h2>Edits</h2><p class="note">{note}</p><div class="edits">{"".join(cards)}</div></section>'


def _edit(run: RunFolder, record: Mapping[str, Any], portraits: int) -> str:
    frame = record["frames"][0]
    path = run.edit_file(frame.get("picture"))
    uri = html.picture_uri(path) if path else None
    name = wording.title(str(record.get("name", "")))
    if portraits > 1:
        name += f" · portrait {int(record.get('portrait', 0)) + 1}"
    rows = []
    for reading in frame["readings"]:
        control, _, asked, achieved, error = wording.row(reading)
        if isinstance(reading["asked"], list):
            asked, achieved = "", f"{error} off"
        rows.append((wording.label(control), asked, achieved))
    return (
        f'<article class="edit">{html.image(uri, name) if uri else ""}<div class="text"><h3>{escape(name)}</h3>'
        f"{html.table(('', 'asked', 'achieved'), rows)}{_self_check(frame)}</div></article>"
    )


def _self_check(frame: Mapping[str, Any]) -> str:
    similarity = frame.get("identity_similarity")
    text = f"<p>identity {html.number(similarity, '.2f')}</p>" if similarity is not None else ""
    return text + "".join(
        f'<p class="warn">{escape(str(warning))}</p>' for warning in frame.get("warnings", ())
    )


def _sweep(run: RunFolder, record: Mapping[str, Any]) -> str:
    frames = record["frames"]
    path = run.edit_file(record.get("webp"))
    moving = _animation_uri(path) if path else None
    stills = [
        html.picture_uri(file) for file in (run.edit_file(f.get("picture")) for f in _some(frames)) if file
    ]
    film = "".join(html.image(uri, "frame") for uri in stills if uri)
    name = wording.title(str(record.get("name", "")))
    controls = [reading["control"] for reading in frames[0]["readings"]]
    rows = []
    for frame in frames:
        cells = []
        for reading in frame["readings"]:
            _, _, asked, achieved, error = wording.row(reading)
            cells += ["", f"{error} off"] if isinstance(reading["asked"], list) else [asked, achieved]
        rows.append((*cells, html.number(frame.get("identity_similarity"), ".2f")))
    head = [text for control in controls for text in (f"{wording.label(control)} asked", "achieved")]
    warnings = dict.fromkeys(str(warning) for frame in frames for warning in frame.get("warnings", ()))
    notes = "".join(f'<p class="warn">{escape(text)}</p>' for text in list(warnings)[:4])
    picture = html.image(moving, name, "sweep") if moving else ""
    table = html.table((*head, "identity"), rows)
    return (
        f'<article class="edit">{picture}<div class="text"><h3>{escape(name)}</h3>'
        f"<p>{len(frames)} frames</p></div></article>"
        f'<article class="edit wide"><div class="film">{film}</div><div class="text">'
        f"<details><summary>{escape(name)}: asked and achieved</summary>{table}</details>{notes}</div></article>"
    )


def _some(frames: Sequence[Any], most: int = 12) -> list[Any]:
    if len(frames) <= most:
        return list(frames)
    return [frames[round(index * (len(frames) - 1) / (most - 1))] for index in range(most)]


def _energies(run: RunFolder, manifest: Manifest) -> str:
    rows = run.read_energies()
    if not rows:
        return ""
    names = [column.removeprefix("weighted.") for column in rows[0] if column.startswith("weighted.")]
    total = Series("total", [_float(row.get("total")) for row in rows])
    terms = [Series(name, [_float(row.get(f"weighted.{name}")) for row in rows]) for name in names]
    series = [total, *(term for term in terms if any(term.values))]
    steps = [int(_float(row.get("step")) or index) for index, row in enumerate(rows, start=1)]
    drawn = chart("energies", steps, [row.get("stage", "") for row in rows], series)
    table = []
    for index, one in enumerate(series):
        raw = next(
            (v for row in reversed(rows) if (v := _float(row.get(f"raw.{one.name}"))) is not None), None
        )
        last, start = one.last, next((v for v in one.values if v is not None), None)
        share = last / total.last if last is not None and total.last else None
        key = f'<i class="key" style="background:var(--c{index % COLOURS})"></i>{escape(one.name)}'
        button = f'<button data-chart="energies" data-series="{index}" aria-pressed="true">{key}</button>'
        share_text = "" if index == 0 or share is None else f"{100 * share:.1f} %"
        table.append(
            (
                button,
                "" if index == 0 else html.number(raw),
                html.number(start),
                html.number(last),
                share_text,
            )
        )
    head = ("term", "raw", "weighted, first step", "weighted, last step", "share")
    note = "Weighted terms of E(w) at every step, logarithmic scale"
    if len(manifest.inputs) > 1:
        note += ", mean over the portraits"
    return (
        f'<section><h2>Energy</h2><p class="note">{note}. Choose a term in the table to hide it.</p>'
        f'<div class="panel">{drawn}<div class="terms">{html.table(head, table, html=True)}</div></div></section>'
    )


def _float(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _appendix(manifest: Manifest) -> str:
    parts = [html.folded("Configuration", html.settings(manifest.config))]
    rows: list[tuple[str, ...]]
    if manifest.timings:
        rows = [(str(name), f"{html.number(value, '.2f')} s") for name, value in manifest.timings.items()]
        parts.append(html.folded("Time", html.table(("phase", "seconds"), rows)))
    if len(manifest.inputs) > 1 and manifest.metrics:
        head = ("portrait", *(_METRICS.get(name, (wording.title(name),))[0] for name in manifest.metrics))
        each = [_portrait_metrics(manifest, index) for index in range(len(manifest.inputs))]
        rows = [(str(name), *values) for name, values in zip(manifest.inputs, each, strict=True)]
        parts.append(html.folded("Metrics per portrait", html.table(head, rows)))
    if manifest.plugins:
        parts.append(html.folded("Components", _records(manifest.plugins)))
    if manifest.licences:
        parts.append(html.folded("Assets and licences", _records(manifest.licences)))
    if manifest.versions:
        versions = [(str(name), str(version)) for name, version in manifest.versions.items()]
        parts.append(html.folded("Versions", html.table(("package", "version"), versions)))
    return f"<section><h2>How it was made</h2>{''.join(parts)}</section>"


def _portrait_metrics(manifest: Manifest, index: int) -> list[str]:
    values = manifest.metrics.values()
    return [html.number(v[index] if isinstance(v, list) and index < len(v) else None) for v in values]


def _records(records: Sequence[Any]) -> str:
    rows = [record for record in records if isinstance(record, Mapping)]
    head = list(dict.fromkeys(str(key) for record in rows for key in record))
    table = html.table(head, [[str(record.get(key, "")) for key in head] for record in rows])
    return f'<div class="words">{table}</div>'
