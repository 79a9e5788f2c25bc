# mypy: disable-error-code="empty-body"
"""Every hook a plugin can implement, on one screen.

Component hooks return declarations (`pie_framework.api.Component`), never model code, so that listing is cheap.
Observer hooks read; what they return is ignored, and an observer that fails is reported and left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from pie_framework.api import Command, Component
    from pie_framework.api.events import ResultSaved, RunEnded, RunFailed, RunStarted, StepsDone

hookspec = pluggy.HookspecMarker("pie_framework")
hookimpl = pluggy.HookimplMarker("pie_framework")


@hookspec
def pie_components() -> Iterable[Component]:
    """The components of the plugin, of every kind."""


@hookspec
def pie_commands() -> Iterable[Command]:
    """Sub-commands of `pie`."""


@hookspec
def pie_energy_terms() -> Iterable[Component]:
    """Terms of E(w)."""


@hookspec
def pie_generators() -> Iterable[Component]:
    """Image generators, G."""


@hookspec
def pie_face_models() -> Iterable[Component]:
    """3D morphable face models with their renderers."""


@hookspec
def pie_encoders() -> Iterable[Component]:
    """Face encoders (MoFA): image to θ."""


@hookspec
def pie_rigs() -> Iterable[Component]:
    """Rig networks (StyleRig)."""


@hookspec
def pie_features() -> Iterable[Component]:
    """Feature networks, Φ and Ψ."""


@hookspec
def pie_landmarks() -> Iterable[Component]:
    """Landmark detectors."""


@hookspec
def pie_aligners() -> Iterable[Component]:
    """Aligners: from any photo to the portrait the generator knows."""


@hookspec
def pie_editors() -> Iterable[Component]:
    """Editors: from a latent and the coefficients asked for to the edited latent."""


@hookspec
def pie_inverters() -> Iterable[Component]:
    """Inverters: from a portrait straight to a latent, where the optimisation may start."""


@hookspec
def pie_scenes() -> Iterable[Component]:
    """Sources of portraits whose parameters are known."""


@hookspec
def pie_trainers() -> Iterable[Component]:
    """Training recipes, `pie train NAME`."""


@hookspec
def pie_converters() -> Iterable[Component]:
    """Converters of foreign checkpoints, for `pie convert`; their targets are called as `converter(path, kind)`."""


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
