"""The catalogue: public checkpoints of this field, what each is for, where it comes from and under which licence.

Catalogues are YAML, read with the safe loader: those that plugins name in the hook
`pie_asset_catalogues`. What is not known is written `unknown`; `sure` says where each fact comes from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from pie_framework.errors import AssetError, did_you_mean
from pie_framework.plugins import Registry, discover

if TYPE_CHECKING:
    from pydantic import TypeAdapter

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
#: What a file can be by its content; and FOLDER.
FORMATS = ("pickle", "torch", "safetensors", "mat", "zip", "npz", "npy")
FOLDER = "folder"
#: A catalogue larger than this is not read, bytes.
LARGEST = 4 << 20


@dataclass(frozen=True)
class Entry:
    """One asset of the catalogue.

    Attributes:
        name: as in `asset://NAME`.
        summary: what it is, one sentence.
        file: file name in the store.
        format: what it is by content, one of FORMATS or "folder".
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

    #: For pydantic, which checks the types: a text is no number, a number no text.
    __pydantic_config__: ClassVar = {"strict": True}

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
    catalogue = Catalogue()
    for provenance, path in (discover() if registry is None else registry).asset_catalogues():
        try:
            _take(catalogue, path, f"plugin '{provenance.plugin}' of {provenance}")
        except AssetError as error:
            catalogue.problems.append(f"plugin '{provenance.plugin}' of {provenance}: {error}")
    return catalogue


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
    common = {"checked": document.get("checked", ""), "origin": origin or path.name}
    return [_entry(str(name), node, common) for name, node in document["assets"].items()]


def _take(catalogue: Catalogue, path: Path, origin: str) -> None:
    entries = read(path, origin)
    for entry in entries:
        if entry.name in catalogue.entries:
            first = catalogue.entries[entry.name].origin
            raise AssetError(
                f"the asset '{entry.name}' is in two catalogues: that of {first} and that of {origin}"
            )
    catalogue.entries.update({entry.name: entry for entry in entries})


def _entry(name: str, node: Any, common: Mapping[str, Any]) -> Entry:
    """One entry; `common` holds what is said for all of the catalogue."""
    from pydantic import ValidationError

    where = f"the asset '{name}'"
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name) or ".." in name:
        raise AssetError(
            f"'{name}' is not a name for an asset", "It is lower-case letters, digits, . _ and -."
        )
    if not isinstance(node, dict):
        raise AssetError(f"{where} is not a group of facts")
    known = {field.name for field in fields(Entry)} - {"name", "origin"}
    for key in node:
        if key not in known:
            raise AssetError(f"{where} has a fact '{key}'", did_you_mean(str(key), known))
    facts = {key: value for key, value in node.items() if value != UNKNOWN}
    try:
        text = json.dumps({**common, **facts, "name": name}, default=str)
        entry = _adapter().validate_json(text)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        fact = ".".join(map(str, wrong["loc"]))
        given = f"is {wrong['input']!r}" if wrong["type"] != "missing" else "is not given"
        raise AssetError(f"{where}: {fact} {given}", f"{wrong['msg']}.") from error
    except (ValueError, TypeError, RecursionError) as error:  # YAML can refer to itself
        raise AssetError(f"{where} cannot be read: {error}") from error
    if (problem := _problem(entry)) is not None:
        raise AssetError(f"{where}: {problem}")
    return entry


@cache
def _adapter() -> TypeAdapter[Entry]:
    from pydantic import TypeAdapter

    return TypeAdapter(Entry)


def _problem(entry: Entry) -> str | None:
    """What is wrong with facts that have the right types, or None."""
    if not entry.summary or not entry.source:
        return "summary and source must say something"
    if not entry.file or re.search(r'^\.|[/\\:*?"<>|\0]', entry.file):
        return f"'{entry.file}' is not a plain file name"
    if entry.format not in (*FORMATS, FOLDER):
        return f"there is no format '{entry.format}'. {did_you_mean(entry.format, [*FORMATS, FOLDER])}"
    if entry.size is not None and entry.size <= 0:
        return f"size is {entry.size}, neither bytes nor unknown"
    if not re.fullmatch(r"([0-9a-f]{64})?", entry.sha256 or ""):
        return f"sha256 is '{entry.sha256}', not 64 hexadecimal digits"
    if not re.fullmatch(r"([0-9a-f]{6,64})?", entry.sha256_prefix or ""):
        return f"sha256_prefix is '{entry.sha256_prefix}', not 6 or more hexadecimal digits"
    for url in entry.urls:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            return f"'{url}' is not an http or https address"
    if entry.unpack != ("zip" if entry.format == FOLDER and entry.urls else None):
        return "unpack is 'zip' for a folder that can be fetched, and for nothing else"
    for fact, how in entry.sure.items():
        if fact not in FACTS or how not in SURE:
            return f"sure.{fact} is '{how}'. It is {', '.join(SURE)}, of one of {', '.join(FACTS)}"
    for fact in FACTS:
        if getattr(entry, fact) not in (None, (), UNKNOWN) and fact not in entry.sure:
            return f"'sure' does not say how sure '{fact}' is"
    return None
