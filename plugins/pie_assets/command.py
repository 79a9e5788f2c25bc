"""`pie assets list | show | path | pull | add | verify`: checkpoints of others, where they come from, what is here."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pie_assets.keeping import FIRST_USE, OVERRULED, WritableStore
from pie_framework.arguments import Parser
from pie_framework.assets import ASSET_SCHEME
from pie_framework.assets.catalogue import SURE, UNKNOWN, Catalogue, Entry, load
from pie_framework.assets.store import Record
from pie_framework.composition import backbone
from pie_framework.errors import AssetError, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console

COMMANDS = {
    "list": "all of the catalogue, or those whose name or use has every WORD",
    "show": "everything that is known of one, and how sure that is",
    "path": "where its file is",
    "pull": "fetches it and checks it",
    "add": "takes in a FILE that you fetched (a copy; link=true only points to it)",
    "verify": "reads what is here again and compares digests; exit status 1 when something is damaged",
}
SWITCHES = ("trust", "again", "link")
EPILOG = """\
Settings name one that is here as asset://NAME. again=true fetches it also when it is here. trust=true accepts a file
whose digest differs from the catalogue's. PIE_ASSETS=FOLDER says where assets are kept."""


def _parser() -> Parser:
    about = "Public checkpoints: what each is for, where it comes from, under which licence, and whether it is here."
    parser = Parser("pie assets", description=about, epilog=EPILOG)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")

    def add(command: str, takes: str, *switches: str) -> Parser:
        usage = " ".join([f"pie assets {command} {takes}", *(f"[{switch}=true]" for switch in switches)])
        one: Parser = commands.add_parser(command, usage=usage, help=COMMANDS[command])
        for switch in switches:
            one.add_switch(switch)
        return one

    for command, takes in (("list", "[WORD ...] [--json]"), ("verify", "[NAME ...]")):
        add(command, takes).add_argument("names", nargs="*")
    for command, takes, *switches in (
        ("show", "NAME [--json]"),
        ("path", "NAME"),
        ("pull", "NAME", "trust", "again"),
        ("add", "NAME FILE", "link", "trust"),
    ):
        add(command, takes, *switches).add_argument("name", metavar="NAME")
    commands.choices["add"].add_argument("file", metavar="FILE", type=Path)
    for command in ("list", "show"):
        commands.choices[command].add_argument("--json", action="store_true")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Returns 0, or 1 when `verify` finds something damaged."""
    parser = _parser()
    if not arguments or {"-h", "--help"} & set(arguments):
        print(parser.format_help())
        return 0
    given = parser.parse(arguments, SWITCHES)
    catalogue, store = load(), WritableStore()
    for problem in catalogue.problems:
        print(f"pie: warning: {problem}", file=sys.stderr)
    if given.command == "list":
        return _list(catalogue, store, given.names, given.json)
    if given.command == "verify":
        return _verify(catalogue, store, given.names)
    if given.command == "path":
        print(store.path(ASSET_SCHEME + given.name.removeprefix(ASSET_SCHEME), catalogue))
        return 0
    entry = catalogue.get(given.name)
    if given.command == "show":
        return _show(entry, store, given.json)
    if given.command == "add":
        return _came(entry, store.add(entry, given.file, given.link, given.trust), store)
    if not given.again and entry.name in store.names() and store.verify(entry.name) is None:
        _say(f"{entry.name}: is here, as it came")
        return 0
    return _came(entry, _pull(entry, store, given.trust), store)


def bytes_text(count: int | None) -> str:
    """A number of bytes for people, or "unknown"."""
    if count is None:
        return UNKNOWN
    if count < 1_000_000:
        return f"{count / 1e3:.0f} kB" if count >= 10_000 else f"{count} bytes"
    return f"{count / 1e6:.0f} MB" if count < 1e10 else f"{count / 1e9:.1f} GB"


def yes_no(value: bool | None) -> str:
    return UNKNOWN if value is None else "yes" if value else "no"


def _list(catalogue: Catalogue, store: WritableStore, words: Sequence[str], as_json: bool) -> int:
    entries = [entry for entry in catalogue.entries.values() if _has(entry, words)]
    if as_json:
        print(json.dumps([_fields(entry, store) for entry in entries], indent=2))
        return 0
    if not entries:
        raise AssetError(
            f"no asset's name or use has '{' '.join(words)}'", did_you_mean(words[0], catalogue.entries)
        )
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("name", "here", "size", "licence", "get it"):
        table.add_column(column, overflow="fold", no_wrap=column == "name")
    for entry in entries:
        free = {True: "non-commercial", False: entry.licence, None: "see show"}[entry.non_commercial]
        how = "register" if entry.registration else "pull" if entry.urls else "by hand"
        table.add_row(entry.name, _here(entry.name, store), bytes_text(entry.size), free, how)
    _console().print(table)
    _say(f"\nkept in {store.folder}; 'pie assets show NAME' tells more")
    return 0


def _has(entry: Entry, words: Sequence[str]) -> bool:
    text = " ".join([entry.name, entry.summary, *entry.used_by]).lower()
    return all(word.lower() in text for word in words)


def _here(name: str, store: WritableStore) -> str:
    try:
        record = store.record(name)
        if record is None:
            return "no"
        store.path(ASSET_SCHEME + name, Catalogue())
    except AssetError:
        return "damaged"
    return "linked" if record.linked else "yes"


def _fields(entry: Entry, store: WritableStore) -> dict[str, Any]:
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


def _show(entry: Entry, store: WritableStore, as_json: bool) -> int:
    if as_json:
        print(json.dumps(_fields(entry, store), indent=2))
        return 0

    def fact(name: str, value: str, key: str | None = None) -> None:
        how = entry.sure.get(key or name)
        sure = f"  [dim]({how})[/dim]" if how and value != UNKNOWN else ""
        _say(f"  {name:<14} {_safe(value)}{sure}")

    _say(f"[bold]{entry.name}[/bold]  {_safe(entry.summary)}")
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
    _say("  [dim]" + "; ".join(used) + "[/dim]")
    return 0


def _verify(catalogue: Catalogue, store: WritableStore, names: Sequence[str]) -> int:
    known = store.names()
    for name in names:
        if name not in known:
            entry = catalogue.get(name)
            raise AssetError(f"the asset '{name}' is not here", entry.how_to_get)
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
            _say(f"{name}: as it came{note}")
            continue
        damaged += 1
        hint = catalogue.entries[name].how_to_get if name in catalogue.entries else "Remove it."
        _say(f"[red]{name}: damaged[/red]: {_safe(wrong.rstrip('.'))}. {hint}")
    if not known:
        _say(f"nothing is in {store.folder}")
    return 1 if damaged else 0


def _pull(entry: Entry, store: WritableStore, trust: bool) -> Record:
    from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

    from pie_assets.pull import check_fetchable, pull

    check_fetchable(entry)
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=_console()) as bar:
        task = bar.add_task(entry.name, total=entry.size)
        return pull(
            entry,
            store,
            trust,
            progress=lambda done, total, _: bar.update(task, completed=done, total=total),
        )


def _came(entry: Entry, record: Record, store: WritableStore) -> int:
    """Say what was taken in; where nothing was known to compare with, say that."""
    _say(f"{entry.name}: {bytes_text(record.size)} in {store.file(record)}")
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
        _say(f"its licence {what}: {_safe(entry.licence)}")
    for line in entry.used_by:
        _say(f"use it with: {backbone.command(line)}")
    return 0


def _say(text: str) -> None:
    """A line for people, with rich's markup."""
    _console().print(text, highlight=False, soft_wrap=True)


def _console() -> Console:
    from rich.console import Console

    return Console()


def _safe(text: str) -> str:
    from rich.markup import escape

    return escape(text)
