"""From overrides to a composed configuration with all settings of its components, and Hydra's command line.

Only what composes a configuration imports this module; importing it imports Hydra.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

from hydra import compose as hydra_compose
from hydra import main as hydra_main

# Private, and the same in 1.3 and 1.4; pyproject.toml takes no later Hydra.
from hydra._internal.callbacks import Callbacks
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from pie_framework.composition import backbone
from pie_framework.composition import components as component_settings
from pie_framework.composition.explain import explain, explicable
from pie_framework.composition.hydra_setup import (
    CONFIG_NAME,
    VERSION_BASE,
    groups,
    initialised,
    installed,
    prepare,
    raw_errors,
    searching,
)
from pie_framework.errors import ConfigError, PieError, did_you_mean
from pie_framework.plugins import Registry, core_config

__all__ = [
    "CONFIG_NAME",
    "compose",
    "explained",
    "finish",
    "initialised",
    "installed",
    "prepare",
    "root_names",
    "start",
]


def compose(
    overrides: Sequence[str] = (), registry: Registry | None = None, name: str = CONFIG_NAME
) -> DictConfig:
    """The configuration that `pie run` would get from the same overrides, with all settings of its components.

    Args:
        overrides: `KEY=VALUE` and `GROUP=OPTION`, and `backbone=FOLDER`.
        registry: the plugins whose folders and components there are; the installed ones when None.
        name: of the root configuration; that of `pie run` by default.

    Raises:
        ConfigError: an override that names no group, option or key, with the near ones, or a wrong value of a setting.
    """
    config = _composed(backbone.expand(overrides), registry, name)
    with open_dict(config):
        del config["hydra"]
    return config


def _composed(overrides: Sequence[str], registry: Registry | None, name: str) -> DictConfig:
    """With Hydra's own node."""
    prepare()
    with searching(registry) as plugins, initialised():
        config = _by_hydra(name, overrides, with_hydra=True)
        _complete(config, plugins, overrides, name)
    return config


def _by_hydra(name: str, overrides: Sequence[str], with_hydra: bool = False) -> DictConfig:
    with explained(name, overrides):
        opened = component_settings.opened(overrides)
        return hydra_compose(name, overrides=opened, return_hydra_config=with_hydra)


def finish(config: DictConfig, registry: Registry | None = None) -> None:
    """Complete what Hydra gives a job of `start`, in place, as `compose` does; ConfigError as there."""
    own = HydraConfig.get()
    task = OmegaConf.to_container(own.overrides.task, resolve=False)
    overrides = [str(word) for word in task] if isinstance(task, list) else []
    name = str(own.job.config_name)
    with searching(registry) as plugins:
        _complete(config, plugins, overrides, name)


def _complete(config: DictConfig, registry: Registry, overrides: Sequence[str], name: str) -> None:
    try:
        component_settings.complete(config, registry, overrides, lambda words: _by_hydra(name, words))
    except OmegaConfBaseException as error:
        raise explain(error, name, overrides) from error


def start(
    job: Callable[[DictConfig], None],
    program: str,
    arguments: Sequence[str],
    root: str = CONFIG_NAME,
    registry: Registry | None = None,
) -> int:
    """Run Hydra's own command line: sweeps, launchers, and flags such as --cfg.

    Args:
        job: called with every composed configuration, which it has to `finish`; other processes need it at the top of
            a module.
        program: how messages call the command, such as "pie run".
        arguments: what stood behind it.
        root: name of the root configuration.
        registry: the plugins; the installed ones when None, and in other processes.

    Returns:
        The exit status that Hydra left with, 0 when it did not.

    Raises:
        ConfigError: an argument names no group, option or key. What the job raises comes through, an exit too.
    """
    prepare()
    with searching(registry):
        return _start(job, program, arguments, root)


def _start(job: Callable[[DictConfig], None], program: str, arguments: Sequence[str], root: str) -> int:
    flags = _flags(program, arguments)
    name = flags.config_name or root
    overrides = [*flags.overrides, *_folder(flags)]
    asked = (flags.multirun, flags.info, flags.shell_completion, flags.hydra_help)
    if (flags.cfg == "job" or flags.help) and not (flags.run or any(asked)):
        (_help if flags.help else _show)(flags, overrides, name)
        return 0
    own = any(word.lstrip("+~").startswith("hydra") for word in overrides)
    if not any((*asked, own, flags.cfg, flags.config_path)):
        with explained(name, overrides, job.__code__):
            if _run(job, name, overrides, program.split()[-1]):
                return 0
    main = hydra_main(config_path=str(core_config()), config_name=root, **VERSION_BASE)(job)
    before = sys.argv
    sys.argv = [program, *component_settings.opened(arguments)]
    try:
        with explained(name, overrides, job.__code__), raw_errors():
            main()
    except SystemExit as leaving:
        if _from(job.__code__, leaving):
            raise
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    finally:
        sys.argv = before
    return 0


def _run(job: Callable[[DictConfig], None], name: str, overrides: Sequence[str], job_name: str) -> bool:
    """Compose once and run the job, which Hydra's own command line would compose twice.

    Returns:
        False, and nothing was run, where the configuration asks for a sweep.
    """
    with initialised(job_name):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        words = component_settings.opened(overrides)
        config = hydra.compose_config(name, words, run_mode=RunMode.RUN, with_log_configuration=True)
        if config.hydra.mode not in (None, RunMode.RUN):
            return False
        callbacks = Callbacks(config)
        callbacks.on_run_start(config=config, config_name=name)
        context = HydraContext(config_loader=hydra.config_loader, callbacks=callbacks)
        done = run_job(job, config, job_dir_key="hydra.run.dir", job_subdir_key=None, hydra_context=context)
        callbacks.on_run_end(config=config, config_name=name, job_return=done)
        _ = done.return_value  # raises what the job raised
    return True


@contextmanager
def explained(root: str, overrides: Sequence[str], job: CodeType | None = None) -> Iterator[None]:
    """Turn what composing says of a wrong configuration into one line.

    What comes from the code of a `job`, and a fault of any other code than Hydra's, is raised as it is.
    """
    try:
        yield
    except PieError:
        raise
    except Exception as error:
        if (job is not None and _from(job, error)) or not explicable(error):
            raise
        raise explain(error, root, overrides) from error


def _from(job: CodeType, error: BaseException) -> bool:
    """Whether a job raised it, here or in another process of a launcher, whose traceback comes as a text."""
    here = any(frame.f_code is job for frame, _ in traceback.walk_tb(error.__traceback__))
    return here or job.co_filename in str(error.__cause__)


def _flags(program: str, arguments: Sequence[str]) -> Namespace:
    """The arguments as Hydra reads them; ConfigError for a flag that it does not have."""
    said = io.StringIO()
    parser = get_args_parser()
    parser.prog = program
    try:
        with contextlib.redirect_stderr(said):
            return parser.parse_args(list(arguments))
    except SystemExit as leaving:
        if not leaving.code:
            raise
        reason = said.getvalue().strip().rpartition("error: ")[2]
        raise ConfigError(reason, f"'{program} --hydra-help' lists Hydra's flags.") from leaving


def _folder(flags: Namespace) -> list[str]:
    """The override that adds the folder of --config-dir to the search path."""
    if flags.config_dir is None:
        return []
    folder = Path(flags.config_dir).resolve()
    if not folder.is_dir():
        raise ConfigError(f"--config-dir: there is no folder '{flags.config_dir}'")
    return [f"hydra.searchpath=[{backbone.quoted(f'file://{folder}')}]"]


def _show(flags: Namespace, overrides: Sequence[str], name: str) -> None:
    """As Hydra's `--cfg job`, with all settings of the components."""
    config = compose(overrides, name=name)
    with explained(name, overrides):
        whole = flags.package in (None, "_global_")
        node = config if whole else OmegaConf.select(config, flags.package)
        if node is None:
            raise ConfigError(
                f"there is no setting '{flags.package}'", did_you_mean(flags.package, map(str, config))
            )
        if OmegaConf.is_config(node) and flags.resolve:
            node = OmegaConf.create(OmegaConf.to_container(node, resolve=True))
        text = OmegaConf.to_yaml(node) if OmegaConf.is_config(node) else f"{node}\n"
    print(text if whole or not OmegaConf.is_config(node) else f"# @package {flags.package}\n{text}", end="")


def _help(flags: Namespace, overrides: Sequence[str], name: str) -> None:
    """As Hydra's `--help`, with all settings of the components."""
    config = _composed(overrides, None, name)
    shown = copy.deepcopy(config)
    with open_dict(shown):
        del shown["hydra"]
    with explained(name, overrides), initialised():
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        if not any(word.startswith("hydra.searchpath=") for word in overrides):
            _list_groups_once(hydra.config_loader)
        text = hydra.get_help(config.hydra.help, shown, get_args_parser(), resolve=flags.resolve)
    print(text)


def _list_groups_once(loader: Any) -> None:
    """Hydra makes its search path anew for each group that it lists, and lists every group twice."""
    listed = functools.cache(loader.repository.get_group_options)
    loader.get_group_options = lambda group_name, results_filter=ObjectType.CONFIG, **_: listed(
        group_name, results_filter
    )


def root_names(registry: Registry | None = None, name: str = CONFIG_NAME) -> list[str]:
    """What an override of a root configuration may begin with: its groups and its own keys."""
    return sorted({*groups(), *map(str, compose((), registry, name))})
