"""Pieces of HTML pages that need nothing beside them. Text is escaped here unless a function says otherwise."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from pie_framework.files.io import jsonable

#: Larger pictures are shown smaller; pictures above the second size are stored as WebP.
SHOWN_SIDE, PNG_SIDE = 768, 320
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def document(title: str, body: Iterable[str], style: str = "", script: str = "") -> str:
    """A page of sections, those that are "" left out, with the style and script of every report and further ones."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>"
        f"<style>{resource('style.css')}{style}</style></head>\n<body><main>"
        + "\n".join(part for part in body if part)
        + f"</main><script>{resource('script.js')}{script}</script></body></html>\n"
    )


def resource(name: str, package: str = "pie_framework.runs.report") -> str:
    """The text of a file of a package."""
    return (resources.files(package) / name).read_text(encoding="utf-8")


def number(value: Any, form: str = ".4g") -> str:
    """A number, or a dash for anything else."""
    return format(value, form) if isinstance(value, (int, float)) and math.isfinite(value) else "–"


def fact(name: str, value: str, unit: str = "") -> str:
    """One box of a row of `facts`."""
    suffix = f" <small>{escape(unit)}</small>" if unit else ""
    return f"<div><span>{escape(name)}</span><b>{escape(value)}</b>{suffix}</div>"


def picture_uri(path: Path) -> str | None:
    """A picture as a data URI, re-encoded and at most `SHOWN_SIDE` wide; None when it is missing or damaged."""
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError):
        return None
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
    return data_uri(picture, "PNG" if max(picture.size) <= PNG_SIDE else "WEBP")


def data_uri(picture: Image.Image, kind: str) -> str:
    """A picture as a data URI, "PNG" or "WEBP"."""
    stream = io.BytesIO()
    picture.save(stream, kind, quality=90)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def image(uri: str, alt: str, kind: str = "") -> str:
    """A picture with its description and, optionally, a class."""
    extra = f' class="{kind}"' if kind else ""
    return f'<img{extra} src="{uri}" alt="{escape(alt)}">'


def figure(inner: str, text: str) -> str:
    """HTML with a caption."""
    return f"<figure>{inner}<figcaption>{escape(text)}</figcaption></figure>"


def folded(title: str, inner: str, shown: bool = False) -> str:
    """HTML behind a title that opens it."""
    return f"<details{' open' if shown else ''}><summary>{escape(title)}</summary>{inner}</details>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], html: bool = False, kind: str = "") -> str:
    """A table whose first column is text and whose others are numbers; cells are escaped unless `html`."""

    def cells(tag: str, row: Sequence[str], raw: bool) -> str:
        return "".join(
            f"<{tag}{' class=n' if i else ''}>{text if raw else escape(text)}</{tag}>"
            for i, text in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row, html)}</tr>" for row in rows)
    top = f"<thead><tr>{cells('th', head, False)}</tr></thead>"
    extra = f' class="{kind}"' if kind else ""
    return f'<div class="scroll"><table{extra}>{top}<tbody>{body}</tbody></table></div>'


def settings(value: Any) -> str:
    """Nested settings as YAML."""
    text = yaml.safe_dump(
        jsonable(value), default_flow_style=None, sort_keys=False, allow_unicode=True, width=120
    )
    return f"<pre>{escape(text)}</pre>"
