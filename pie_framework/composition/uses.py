"""Which files a composed run would load: what each is for, whether it is there, and under which licence. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pie_framework.api import MISSING, Kind, asset_settings
from pie_framework.assets.catalogue import UNKNOWN, Catalogue, Entry
from pie_framework.assets.store import Store, resolve
from pie_framework.composition.plan import Choice, Plan, name_of, places, selection
from pie_framework.composition.schema import CHOSEN, RunConfig
from pie_framework.errors import AssetError
from pie_framework.files.addresses import ASSET_SCHEME, PACKAGE_SCHEME, digest, size
from pie_framework.plugins import Registry


@dataclass(frozen=True)
class Use:
    """A file that a component of a run loads.

    Attributes:
        role: of the component.
        component: its name.
        setting: the key that names the file, such as "generator.weights".
        uri: the address given; "" when one has to be given.
        path: where it is; None when it is not there.
        problem: why it cannot be used, or "".
        hint: what to do about it, or "".
        licence: in words; "unknown" when it is.
        non_commercial: whether the licence forbids commercial use; None when unknown.
        entry: its name in the catalogue, or "".
        size: bytes; None when it is not there.
    """

    role: str
    component: str
    setting: str
    uri: str
    path: Path | None = None
    problem: str = ""
    hint: str = ""
    licence: str = UNKNOWN
    non_commercial: bool | None = None
    entry: str = ""
    size: int | None = None


def file_keys(run: RunConfig, registry: Registry) -> set[str]:
    """The keys of all settings that name a file, such as "generator.weights", of what is chosen, needed or not."""
    keys = set()
    for kind, part in (place for key in CHOSEN for place in places(run, key)):
        node = selection(run, kind, part)
        component = None if node is None else registry.find(kind, name_of(node))
        role = kind.value if part is None else f"{kind}.{part}"
        keys |= {f"{role}.{name}" for name in asset_settings(component.config)} if component else set()
    return keys


def uses(plan: Plan, catalogue: Catalogue, store: Store | None = None) -> list[Use]:
    """The files that the components of a run load, in the order in which they are needed."""
    shop = Store() if store is None else store
    parts = [choice for choice in plan.choices.values() if choice.kind is not Kind.ENERGY]
    return [use for part in parts for use in _of(part, catalogue, shop)]


def licences(plan: Plan) -> list[dict[str, str]]:
    """Name and licence of every file that a run loads, each once, for its record."""
    from pie_framework.assets.catalogue import load

    declared = {asset.uri: asset.name for _, c in plan.registry.named() for asset in c.assets}
    files = uses(plan, load(plan.registry))
    named = {use.entry or declared.get(use.uri, use.uri): use.licence for use in files if use.uri}
    return [{"name": name, "licence": licence} for name, licence in sorted(named.items())]


def _of(part: Choice, catalogue: Catalogue, store: Store) -> Iterator[Use]:
    """Those of one component, by the type of its settings or, where that says nothing, by the address itself.

    A setting that names a file has to be given where it is an empty text, not where null.
    """
    typed = asset_settings(part.component.config)
    for name in sorted({*typed, *part.values}, key=lambda n: (n not in typed, n)):
        value = part.values.get(name)
        key = f"{part.role}.{name}"
        by_address = isinstance(value, str) and value.startswith((PACKAGE_SCHEME, ASSET_SCHEME))
        if not by_address and name not in typed:
            continue
        if value in ("", MISSING):
            hint = _suggestion(key, part.component.name, catalogue)
            yield Use(part.role, part.component.name, key, "", problem="it must be given", hint=hint)
        elif isinstance(value, str):
            yield _one(part, key, value, catalogue, store)


def _one(part: Choice, key: str, uri: str, catalogue: Catalogue, store: Store) -> Use:
    role, name = part.role, part.component.name
    entry: Entry | None = None
    licence, non_commercial = UNKNOWN, None
    try:
        if uri.startswith(ASSET_SCHEME):
            entry = catalogue.get(uri.removeprefix(ASSET_SCHEME).partition("/")[0])
            path = store.path(uri, catalogue)
            if not path.exists():
                raise AssetError(f"'{uri}' is not there ({path})")
        else:
            path = resolve(uri, folder=True)
            if uri.startswith(PACKAGE_SCHEME):
                licence = next((a.licence for a in part.component.assets if a.uri == uri), "") or UNKNOWN
                non_commercial = False if licence in _FREE else None
            else:
                entry = recognise(path, catalogue)
    except AssetError as error:
        facts = ("unknown", None) if entry is None else (entry.licence, entry.non_commercial)
        return Use(
            role, name, key, uri, None, error.message, error.hint or "", *facts, entry.name if entry else ""
        )
    if entry is not None:
        licence, non_commercial = entry.licence, entry.non_commercial
    return Use(
        role,
        name,
        key,
        uri,
        path,
        licence=licence,
        non_commercial=non_commercial,
        entry=entry.name if entry else "",
        size=size(path),
    )


#: Licences that allow commercial use.
_FREE = ("MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "CC-BY-4.0", "CC0-1.0")


def recognise(path: Path, catalogue: Catalogue) -> Entry | None:
    """The asset of the catalogue that a file is by its size and digest, or None; a folder is never recognised."""
    if not path.is_file():
        return None
    bytes_ = path.stat().st_size
    alike = [entry for entry in catalogue.entries.values() if entry.size == bytes_ and entry.sha256]
    sha256 = digest(path) if alike else ""
    return next((entry for entry in alike if entry.sha256 == sha256), None)


def _suggestion(key: str, component: str, catalogue: Catalogue) -> str:
    """Which assets of the catalogue are for a setting of a component."""
    group, _, rest = key.partition(".")
    heads = (f"{group}={component}", f"{group}/{rest.partition('.')[0]}={component}")
    fitting = [
        entry.name
        for entry in catalogue.entries.values()
        if any(f"{key}={ASSET_SCHEME}{entry.name}" in u and u.startswith(heads) for u in entry.used_by)
    ]
    options = " or ".join(f"{key}={ASSET_SCHEME}{name}" for name in fitting[:3])
    return f"Give {options}, or {key}=PATH." if options else f"Give {key}=PATH."
