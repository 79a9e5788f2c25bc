# mypy: disable-error-code="empty-body"
"""Every hook a plugin can implement, on one screen.

The first two return declarations, never model code, so that listing is cheap. Observer hooks read; what they return is
ignored, and an observer that fails is reported and left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import pluggy

from pie_framework.api.kinds import Kind

if TYPE_CHECKING:
    from pie_framework.api import Command, Component
    from pie_framework.api.events import ResultSaved, RunEnded, RunFailed, RunStarted, StepsDone

PROJECT = "pie_framework"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def pie_components() -> Iterable[Component]:
    """The components of the plugin, of every kind: `pie_framework.api.Component`."""


@hookspec
def pie_commands() -> Iterable[Command]:
    """Sub-commands of `pie`: `pie_framework.api.Command`."""


@hookspec
def pie_config_paths() -> Iterable[str]:
    """Import paths of packages that hold Hydra configuration, such as "my_plugin.conf"."""


@hookspec
def pie_asset_catalogues() -> Iterable[str]:
    """Addresses of catalogues of assets in the plugin's package, such as "pkg://my_plugin/assets.yaml"."""


@hookspec
def pie_run_started(event: RunStarted) -> None:
    """Observer: a run is about to take its first step."""


@hookspec
def pie_steps_done(event: StepsDone) -> None:
    """Observer: some more steps were taken (called every few steps, never inside one)."""


@hookspec
def pie_result_saved(event: ResultSaved) -> None:
    """Observer: latent, pictures, edits and metrics of a run are in its folder."""


@hookspec
def pie_run_failed(event: RunFailed) -> None:
    """Observer: something stopped the run."""


@hookspec
def pie_run_ended(event: RunEnded) -> None:
    """Observer: a run ended, however it ended."""


def _old(kind: Kind) -> Callable[[], Iterable[Component]]:
    """The hook that declared one kind in version 1.0 of the contract; the next release no longer calls it."""

    def spec() -> Iterable[Component]:
        """Replaced by pie_components."""

    spec.__name__ = spec.__qualname__ = kind.old_hook
    replaced = f"its hook '{kind.old_hook}' goes with the next release: give {kind.article} in 'pie_components' instead"
    return hookspec(spec, warn_on_impl=DeprecationWarning(replaced))


OLD_HOOKS = type("OldHooks", (), {kind.old_hook: _old(kind) for kind in Kind if kind.old_hook})
