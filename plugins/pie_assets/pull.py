"""Getting an asset of the catalogue: its addresses in order, every check, then its place in the store."""

from __future__ import annotations

from pie_assets import archives
from pie_assets.download import Progress, RetryPolicy, Wanted, fetch
from pie_assets.keeping import WritableStore
from pie_framework.assets.catalogue import Entry
from pie_framework.assets.store import Record
from pie_framework.errors import AssetError


def pull(
    entry: Entry,
    store: WritableStore,
    trust: bool = False,
    limit: int = archives.LARGEST,
    policy: RetryPolicy | None = None,
    progress: Progress | None = None,
) -> Record:
    """Fetch an asset into the store, whether or not it is there already.

    Args:
        entry: of the catalogue.
        store: where it goes.
        trust: accept a digest that differs from the catalogue's.
        limit: bytes it may have where the catalogue knows no size.
        policy: how long to wait for servers.
        progress: is told how far it is.

    Raises:
        AssetError: no address gave it, with the reason for each; another process is getting it; no room.
    """
    check_fetchable(entry)
    kind = entry.unpack or entry.format
    size = None if entry.unpack or trust else entry.size
    reasons: list[str] = []
    hints: list[str] = []
    with store.lock(entry.name):
        for url in entry.urls:
            try:
                with store.temporary(entry.name) as folder:
                    complete = folder / "download"
                    fetch(Wanted(url, kind, size, limit), complete, policy or RetryPolicy(), progress)
                    if entry.unpack is not None:
                        archive, complete = complete, folder / "unpacked"
                        archives.unpack(archive, complete, limit)
                    return store.take(entry, complete, url, trust)
            except AssetError as error:
                reasons.append(f"{url}: {error.message}")
                hints += [error.hint] if error.hint else []
    hint = f"Try again later, or fetch it by hand and use 'pie assets add {entry.name} FILE'."
    raise AssetError(
        f"the asset '{entry.name}' could not be fetched. " + "; ".join(reasons), (hints or [hint])[0]
    )


def check_fetchable(entry: Entry) -> None:
    """Raise AssetError when a person has to get it."""
    if entry.registration or not entry.urls:
        raise AssetError(f"the asset '{entry.name}' cannot be fetched by a program", entry.how_to_get)
