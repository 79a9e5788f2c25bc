"""The edits of a bench: one request for the method and the true edit alike, in the words of `pie edit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pie_bench.settings import ANOTHER
from pie_framework.api.layout import Layout
from pie_framework.editing.controls import EditRequest, Vocabulary
from pie_framework.errors import ConfigError, PieError


def parse(edits: Mapping[str, Sequence[str]], layout: Layout) -> dict[str, EditRequest]:
    """Requests by name.

    Raises:
        ConfigError: an edit that is no single one, touches no block or several, or takes blocks from anything but
            another portrait.
    """
    vocabulary = Vocabulary(layout)
    found = {}
    for name, controls in edits.items():
        try:
            requests = vocabulary.parse(list(controls), name)
        except PieError as error:
            raise ConfigError(f"edits.{name}: {error.message}", error.hint) from error
        if len(requests) != 1:
            raise ConfigError(f"edits.{name} is a sweep", "Write its frames as edits of their own.")
        (request,) = requests
        if request.source not in (None, ANOTHER):
            raise ConfigError(f"edits.{name}: source={request.source}", f"It can only be source={ANOTHER}.")
        if len(request.blocks) != 1:
            raise ConfigError(
                f"edits.{name} touches {' and '.join(request.blocks) or 'nothing'}",
                "An edit of the bench touches one block.",
            )
        found[name] = request
    return found
