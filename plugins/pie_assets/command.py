"""`pie assets list | show | path | pull | add | verify`: checkpoints of others, where they come from, what is here."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pie_framework.assets import ASSET_SCHEME
from pie_framework.assets.catalogue import SURE, UNKNOWN, Catalogue, Entry, load
from pie_framework.assets.store import FIRST_USE, OVERRULED, Record, Store
from pie_framework.composition import backbone
from pie_framework.errors import AssetError, ConfigError, PieError, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console

USAGE = """usage: pie assets list [WORD ...] [--json]
       pie assets show NAME [--json]
       pie assets path NAME
       pie assets pull NAME [trust=true] [again=true]
       pie assets add NAME FILE [link=true] [trust=true]
       pie assets verify [NAME ...]

Public checkpoints: what each is for, where it comes from, under which licence, and whether it is here.
Settings name one that is here as asset://NAME.

  list     all of the catalogue, or those whose name or use has every WORD
  show     everything that is known of one, and how sure that is
  path     where its file is
  pull     fetches it, goes on with what was interrupted, and checks it; again=true also when it is here
  add      takes in a FILE that you fetched (a copy; link=true only points to it)
  verify   reads what is here again and compares digests; exit status 1 when something is damaged

trust=true accepts a file whose digest differs from the catalogue's. PIE_ASSETS=FOLDER says where assets are kept."""

#: Sub-commands with the least and most names they take.
WORDS = {"list": (0, 99), "show": (1, 1), "path": (1, 1), "pull": (1, 1), "add": (2, 2), "verify": (0, 99)}
#: key=true options of each.
OPTIONS = {"add": ("link", "trust"), "pull": ("trust", "again")}


def main(arguments: Sequence[str]) -> int:
    """Returns 0, or 1 when `verify` finds something damaged."""
    words = list(arguments)
    if not words or any(word in ("-h", "--help") for word in words):
        print(USAGE)
        return 0
    command, rest = words[0], words[1:]
    if command not in WORDS:
        raise PieError(f"'pie assets' has no command '{command}'", did_you_mean(command, WORDS))
    names, options, as_json = _parse(command, rest)
    catalogue, store = load(), Store()
    for problem in catalogue.problems:
        print(f"pie: warning: {problem}", file=sys.stderr)
    if command == "list":
        return _list(catalogue, store, names, as_json)
    if command == "show":
        return _show(catalogue.get(names[0]), store, as_json)
    if command == "path":
        print(store.path(ASSET_SCHEME + names[0].removeprefix(ASSET_SCHEME), catalogue))
        return 0
    if command == "verify":
        return _verify(catalogue, store, names)
    entry = catalogue.get(names[0])
    if command == "add":
        record = store.add(entry, Path(names[1]), options["link"], options["trust"])
    elif not options["again"] and entry.name in store.names() and store.verify(entry.name) is None:
        _console().print(f"{entry.name}: is here, as it came", highlight=False, soft_wrap=True)
        return 0
    else:
        record = _pull(entry, store, options["trust"])
    return _came(entry, record, store)


def _parse(command: str, words: Sequence[str]) -> tuple[list[str], dict[str, bool], bool]:
    """Names, key=true options, and whether JSON is asked for."""
    allowed = OPTIONS.get(command, ())
    options = dict.fromkeys(allowed, False)
    names: list[str] = []
    as_json = False
    for word in words:
        key, equals, value = word.partition("=")
        if word == "--json" and command in ("list", "show"):
            as_json = True
        elif word.startswith("-") or (equals and key.isidentifier() and key not in allowed):
            near = did_you_mean(key.lstrip("-"), allowed) if allowed else "It takes none."
            raise ConfigError(
                f"'pie assets {command}' has no option '{word}'", f"{near} Usage: {_usage(command)}"
            )
        elif equals and key in allowed:
            if value.lower() not in ("true", "false"):
                raise ConfigError(f"{key} is '{value}', neither true nor false")
            options[key] = value.lower() == "true"
        else:
            names.append(word)
    least, most = WORDS[command]
    if not least <= len(names) <= most:
        raise ConfigError(f"'pie assets {command}' takes other arguments", _usage(command))
    return names, options, as_json


def _usage(command: str) -> str:
    """The line of the usage that is about one sub-command."""
    line = next(line for line in USAGE.splitlines() if f"pie assets {command}" in line)
    return line.strip().removeprefix("usage: ")


def bytes_text(count: int | None) -> str:
    """A number of bytes for people, or "unknown"."""
    if count is None:
        return UNKNOWN
    if count < 1_000_000:
        return f"{count / 1e3:.0f} kB" if count >= 10_000 else f"{count} bytes"
    return f"{count / 1e6:.0f} MB" if count < 1e10 else f"{count / 1e9:.1f} GB"


def yes_no(value: bool | None) -> str:
    return UNKNOWN if value is None else "yes" if value else "no"


def _list(catalogue: Catalogue, store: Store, words: Sequence[str], as_json: bool) -> int:
    entries = [entry for entry in catalogue.entries.values() if _has(entry, words)]
    if as_json:
        print(json.dumps([_fields(entry, store) for entry in entries], indent=2))
        return 0
    if not entries:
        raise AssetError(
            f"no asset's name or use has '{' '.join(words)}'", did_you_mean(words[0], catalogue.entries)
        )
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("name", "here", "size", "licence", "get it"):
        table.add_column(column, overflow="fold", no_wrap=column == "name")
    for entry in entries:
        free = {True: "non-commercial", False: entry.licence, None: "see show"}[entry.non_commercial]
        how = (
            "pull"
            if entry.urls and not entry.registration
            else "register"
            if entry.registration
            else "by hand"
        )
        table.add_row(entry.name, _here(entry.name, store), bytes_text(entry.size), free, how)
    console = Console()
    console.print(table)
    console.print(
        f"\nkept in {store.folder}; 'pie assets show NAME' tells more", highlight=False, soft_wrap=True
    )
    return 0


def _has(entry: Entry, words: Sequence[str]) -> bool:
    text = " ".join([entry.name, entry.summary, *entry.used_by]).lower()
    return all(word.lower() in text for word in words)


def _here(name: str, store: Store) -> str:
    try:
        record = store.record(name)
        if record is None:
            return "no"
        store.path(ASSET_SCHEME + name, Catalogue())
    except AssetError:
        return "damaged"
    return "linked" if record.linked else "yes"


def _fields(entry: Entry, store: Store) -> dict[str, Any]:
    """An entry in JSON's types, with what is here."""
    unknown = {key: UNKNOWN if value is None else value for key, value in asdict(entry).items()}
    for key in ("sha256_prefix", "unpack"):
        if getattr(entry, key) is None:
            del unknown[key]
    try:
        record = store.record(entry.name)
    except AssetError:
        record = None
    return {
        **unknown,
        "used_by": list(entry.used_by),
        "urls": list(entry.urls) or UNKNOWN,
        "how_to_get": entry.how_to_get,
        "here": _here(entry.name, store),
        "path": None if record is None else str(store.file(record)),
        "record": None if record is None else asdict(record),
    }


def _show(entry: Entry, store: Store, as_json: bool) -> int:
    if as_json:
        print(json.dumps(_fields(entry, store), indent=2))
        return 0
    console = _console()

    def fact(name: str, value: str, key: str | None = None) -> None:
        how = entry.sure.get(key or name)
        sure = f"  [dim]({how})[/dim]" if how and value != UNKNOWN else ""
        console.print(f"  {name:<14} {_safe(value)}{sure}", highlight=False, soft_wrap=True)

    console.print(f"[bold]{entry.name}[/bold]  {_safe(entry.summary)}", highlight=False, soft_wrap=True)
    for line in entry.used_by:
        fact("used by", line)
    fact("file", entry.file)
    fact("format", entry.format)
    fact("size", UNKNOWN if entry.size is None else f"{entry.size} bytes")
    fact("sha256", entry.sha256 or UNKNOWN)
    if entry.sha256_prefix:
        fact("sha256 begins", entry.sha256_prefix, "sha256_prefix")
    fact("licence", entry.licence)
    fact("non-commercial", yes_no(entry.non_commercial), "non_commercial")
    fact("registration", yes_no(entry.registration))
    fact("source", entry.source)
    for url in entry.urls or (UNKNOWN,):
        fact("address", url, "urls")
    fact("note", entry.note) if entry.note else None
    fact("looked up", entry.checked or UNKNOWN)
    fact("catalogue", entry.origin)
    record = store.record(entry.name)
    if record is None:
        fact("here", f"no. {entry.how_to_get}")
    else:
        fact("here", f"{_here(entry.name, store)}: {store.file(record)}")
        fact("came from", f"{record.origin}, {record.when}")
        fact("compared with", f"{record.checked}; sha256 {record.sha256}")
    used = [f"{word}: {meaning}" for word, meaning in SURE.items() if word in entry.sure.values()]
    console.print("  [dim]" + "; ".join(used) + "[/dim]", highlight=False, soft_wrap=True)
    return 0


def _verify(catalogue: Catalogue, store: Store, names: Sequence[str]) -> int:
    known = store.names()
    for name in names:
        if name not in known:
            entry = catalogue.get(name)
            raise AssetError(f"the asset '{name}' is not here", entry.how_to_get)
    console = _console()
    damaged = 0
    for name in names or known:
        wrong = store.verify(name)
        if wrong is None:
            record = store.record(name)
            assert record is not None
            note = {
                FIRST_USE: " (the catalogue knows no digest)",
                OVERRULED: " (not the file that the catalogue knows)",
            }.get(record.checked, "")
            console.print(f"{name}: as it came{note}", highlight=False, soft_wrap=True)
            continue
        damaged += 1
        hint = catalogue.entries[name].how_to_get if name in catalogue.entries else "Remove it."
        console.print(
            f"[red]{name}: damaged[/red]: {_safe(wrong.rstrip('.'))}. {hint}", highlight=False, soft_wrap=True
        )
    if not known:
        console.print(f"nothing is in {store.folder}", highlight=False, soft_wrap=True)
    return 1 if damaged else 0


def _pull(entry: Entry, store: Store, trust: bool) -> Record:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from pie_assets.pull import check_fetchable, pull

    check_fetchable(entry)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=_console(),
    )
    try:
        with bar:
            task = bar.add_task(entry.name, total=entry.size)
            return pull(
                entry,
                store,
                trust,
                progress=lambda done, total, _: bar.update(task, completed=done, total=total),
            )
    except KeyboardInterrupt:
        print("pie: interrupted; the same command goes on with what is here", file=sys.stderr)
        raise SystemExit(130) from None


def _came(entry: Entry, record: Record, store: Store) -> int:
    """Say what was taken in; where nothing was known to compare with, say that."""
    console = _console()
    console.print(
        f"{entry.name}: {bytes_text(record.size)} in {store.file(record)}", highlight=False, soft_wrap=True
    )
    why = {
        FIRST_USE: f"nothing certain is known to compare '{entry.name}' with",
        OVERRULED: f"this is not the file that the catalogue knows as '{entry.name}'",
    }.get(record.checked)
    if why is not None:
        print(
            f"pie: warning: {why}; its sha256 {record.sha256} is recorded, and 'pie assets verify' compares with it "
            "from now on",
            file=sys.stderr,
        )
    if entry.non_commercial is not False:
        what = "is non-commercial" if entry.non_commercial else "may limit what you may do with it"
        console.print(f"its licence {what}: {_safe(entry.licence)}", highlight=False, soft_wrap=True)
    for line in entry.used_by:
        console.print(f"use it with: {backbone.command(line)}", highlight=False, soft_wrap=True)
    return 0


def _console() -> Console:
    from rich.console import Console

    return Console()


def _safe(text: str) -> str:
    from rich.markup import escape

    return escape(text)
