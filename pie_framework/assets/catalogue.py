"""The catalogue: public checkpoints of this field, what each is for, where it comes from and under which licence.

Catalogues are YAML, read with the safe loader: those that plugins name in the hook
`pie_asset_catalogues`. What is not known is written `unknown`; `sure` says where each fact comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pie_framework.assets.formats import FOLDER, FORMATS
from pie_framework.errors import AssetError, did_you_mean
from pie_framework.plugins import Registry, discover

UNKNOWN = "unknown"
#: How sure a fact is.
SURE = {
    "official": "stated by those who publish the file",
    "reported": "stated alike by several unrelated public repositories",
    "once": "stated by one public repository",
    "remembered": "from memory, not looked up",
}
#: Facts that `sure` has to cover when they are known.
FACTS = ("file", "size", "sha256", "sha256_prefix", "licence", "non_commercial", "registration", "urls")
#: A catalogue larger than this is not read, bytes.
LARGEST = 4 << 20
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Entry:
    """One asset of the catalogue.

    Attributes:
        name: as in `asset://NAME`.
        summary: what it is, one sentence.
        file: file name in the store.
        format: what it is by content, a key of `formats.FORMATS` or "folder".
        source: page where it is described.
        used_by: what to give `pie run` so that it is used.
        size: bytes; None when unknown.
        sha256: hexadecimal digest; None when unknown.
        sha256_prefix: first digits of the digest, where only those are known.
        licence: in words; "unknown" when it is.
        non_commercial: whether the licence forbids commercial use; None when unknown.
        registration: whether one has to register, or ask, to get it; None when unknown.
        urls: addresses of the file, tried in order; none when it cannot be fetched without a person.
        unpack: "zip" when the address gives an archive whose only top folder is the asset.
        note: what else to know.
        sure: fact to a key of SURE.
        checked: when and how the facts were looked up.
        origin: the catalogue it comes from.
    """

    name: str
    summary: str
    file: str
    format: str
    source: str
    used_by: tuple[str, ...] = ()
    size: int | None = None
    sha256: str | None = None
    sha256_prefix: str | None = None
    licence: str = UNKNOWN
    non_commercial: bool | None = None
    registration: bool | None = None
    urls: tuple[str, ...] = ()
    unpack: str | None = None
    note: str = ""
    sure: Mapping[str, str] = field(default_factory=dict)
    checked: str = ""
    origin: str = ""

    @property
    def how_to_get(self) -> str:
        """What to do to have it, one sentence."""
        if self.urls and not self.registration:
            return f"Get it with 'pie assets pull {self.name}'."
        ask = "It needs registration at" if self.registration else "Get it by hand from"
        return f"{ask} {self.source}; then 'pie assets add {self.name} FILE'."

    def expects(self, sha256: str) -> bool | None:
        """Whether a digest is the right one; None when the catalogue does not know."""
        if self.sha256:
            return sha256 == self.sha256
        return sha256.startswith(self.sha256_prefix) if self.sha256_prefix else None


@dataclass
class Catalogue:
    """Entries by name, and what is wrong with catalogues that could not be taken in."""

    entries: dict[str, Entry] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def get(self, name: str) -> Entry:
        """The entry; AssetError names the near ones."""
        if name not in self.entries:
            near = did_you_mean(name, self.entries)
            near = "'pie assets list' shows all." if near.startswith("Known") else near
            hint = f"{near} A file of your own needs no name: give its path."
            raise AssetError(f"there is no asset named '{name}' in the catalogue", hint)
        return self.entries[name]


def load(registry: Registry | None = None) -> Catalogue:
    """The catalogues of the plugins as one; one that is broken is left out and reported.

    Args:
        registry: the installed plugins; discovered when None.
    """
    found = Catalogue()
    for provenance, path in (discover() if registry is None else registry).asset_catalogues():
        try:
            _take(found, path, f"plugin '{provenance.plugin}' of {provenance}")
        except AssetError as error:
            found.problems.append(f"plugin '{provenance.plugin}' of {provenance}: {error}")
    return found


def read(path: Path, origin: str = "") -> list[Entry]:
    """The entries of one file; AssetError says which field of which entry is wrong."""
    import yaml

    try:
        if path.stat().st_size > LARGEST:
            raise AssetError(f"the catalogue '{path}' is larger than {LARGEST} bytes")
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise AssetError(
            f"the catalogue '{path}' cannot be read: {' '.join(str(error).split())[:200]}"
        ) from error
    if not isinstance(document, dict) or not isinstance(document.get("assets"), dict):
        raise AssetError(f"the catalogue '{path}' has no 'assets'")
    checked = _text(document, "checked", f"the catalogue '{path}'", "")
    return [
        _entry(str(name), node, checked, origin or path.name) for name, node in document["assets"].items()
    ]


def _take(found: Catalogue, path: Path, origin: str) -> None:
    entries = read(path, origin)
    for entry in entries:
        if entry.name in found.entries:
            first = found.entries[entry.name].origin
            raise AssetError(
                f"the asset '{entry.name}' is in two catalogues: that of {first} and that of {origin}"
            )
    found.entries.update({entry.name: entry for entry in entries})


def _entry(name: str, node: Any, checked: str, origin: str) -> Entry:
    where = f"the asset '{name}'"
    if not _NAME.fullmatch(name) or ".." in name:
        raise AssetError(
            f"'{name}' is not a name for an asset", "It is lower-case letters, digits, . _ and -."
        )
    if not isinstance(node, dict):
        raise AssetError(f"{where} is not a group of facts")
    known = set(Entry.__dataclass_fields__) - {"name", "origin"}
    for key in node:
        if key not in known:
            raise AssetError(f"{where} has a fact '{key}'", did_you_mean(str(key), known))
    file = _text(node, "file", where)
    if file in (".", "..") or re.search(r'[/\\:*?"<>|\0]', file) or file.startswith("."):
        raise AssetError(f"{where}: '{file}' is not a plain file name")
    kind = _text(node, "format", where)
    if kind not in FORMATS and kind != FOLDER:
        raise AssetError(f"{where}: there is no format '{kind}'", did_you_mean(kind, [*FORMATS, FOLDER]))
    sha256 = _hexadecimal(node, "sha256", where, 64)
    prefix = _hexadecimal(node, "sha256_prefix", where, None)
    size = node.get("size", UNKNOWN)
    if size != UNKNOWN and (isinstance(size, bool) or not isinstance(size, int) or size <= 0):
        raise AssetError(f"{where}: size is {size!r}, neither bytes nor unknown")
    urls = _texts(node, "urls", where)
    for url in urls:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise AssetError(f"{where}: '{url}' is not an http or https address")
    unpack = node.get("unpack")
    if (unpack is not None and unpack != "zip") or (unpack == "zip") != (kind == FOLDER and bool(urls)):
        raise AssetError(f"{where}: unpack is 'zip' for a folder that can be fetched, and for nothing else")
    entry = Entry(
        name=name,
        summary=_text(node, "summary", where),
        file=file,
        format=kind,
        source=_text(node, "source", where),
        used_by=_texts(node, "used_by", where),
        size=None if size == UNKNOWN else size,
        sha256=sha256,
        sha256_prefix=prefix,
        licence=_text(node, "licence", where, UNKNOWN),
        non_commercial=_yes_no(node, "non_commercial", where),
        registration=_yes_no(node, "registration", where),
        urls=urls,
        unpack=unpack,
        note=_text(node, "note", where, ""),
        sure=_sure(node, where),
        checked=_text(node, "checked", where, checked),
        origin=origin,
    )
    for fact in FACTS:
        if node.get(fact, UNKNOWN) != UNKNOWN and fact not in entry.sure:
            raise AssetError(f"{where}: 'sure' does not say how sure '{fact}' is")
    return entry


def _sure(node: Mapping[str, Any], where: str) -> dict[str, str]:
    sure = node.get("sure", {})
    if not isinstance(sure, dict):
        raise AssetError(f"{where}: sure is not a group of facts")
    for fact, how in sure.items():
        if fact not in FACTS or how not in SURE:
            raise AssetError(f"{where}: sure.{fact} is '{how}'", "It is " + ", ".join(SURE) + ".")
    return {str(fact): str(how) for fact, how in sure.items()}


def _text(node: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    value = node.get(key, default)
    if not isinstance(value, str) or (default is None and not value):
        raise AssetError(f"{where}: {key} is {value!r}, not text")
    return value


def _texts(node: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value: Iterable[Any] = node.get(key, ())
    if value == UNKNOWN:
        return ()
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise AssetError(f"{where}: {key} is {value!r}, not a list")
    if not all(isinstance(item, str) and item for item in value):
        raise AssetError(f"{where}: {key} has an item that is not text")
    return tuple(value)


def _yes_no(node: Mapping[str, Any], key: str, where: str) -> bool | None:
    value = node.get(key, UNKNOWN)
    if value == UNKNOWN:
        return None
    if not isinstance(value, bool):
        raise AssetError(f"{where}: {key} is {value!r}, not yes, no or unknown")
    return value


def _hexadecimal(node: Mapping[str, Any], key: str, where: str, length: int | None) -> str | None:
    value = node.get(key, UNKNOWN)
    if value == UNKNOWN:
        return None
    shape = r"[0-9a-f]{6,64}" if length is None else rf"[0-9a-f]{{{length}}}"
    if not isinstance(value, str) or not re.fullmatch(shape, value):
        raise AssetError(f"{where}: {key} is {value!r}, not hexadecimal digits in quotes")
    return value
