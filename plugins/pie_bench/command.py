"""`pie bench`: methods measured on portraits whose true edits are known; `pie bench models`: the models alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from pie_framework.composition import compose
from pie_framework.errors import PieError
from pie_framework.plugins import Registry, discover

if TYPE_CHECKING:
    from pie_bench.jobs import Plan

PROGRAM = "pie bench"
USAGE = """usage: pie bench [set=SET] [KEY=VALUE ...]
       pie bench models [KEY=VALUE ...]

Measures methods on portraits whose parameters are known, so that the true result of every edit can be rendered:
methods × portraits × edits × seeds. The same command goes on where it was interrupted.

  pie bench                                        a few minutes: set=smoke
  pie bench set=full workers=8                     all methods, edits and portraits
  pie bench set=full methods=[full,synth] portraits=4
  pie bench -m set=full hydra/launcher=joblib      its jobs by a Hydra launcher
  pie bench models                                 how good the models are, each on its own
"""


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status; raises PieError for what the person can mend."""
    words = list(arguments)
    if words[:1] == ["models"]:
        from pie_bench.models import main as models

        status: int = models(words[1:])
        return status
    registry = discover()
    for problem in registry.problems:
        print(f"pie: warning: {problem}", file=sys.stderr)
    compose.prepare()
    if any(word in ("-h", "--help") for word in words):
        print(explain())
        return 0
    launched = [word for word in words if word not in ("-m", "--multirun")]
    overrides = [word for word in launched if not word.startswith("-")]
    if len(overrides) != len(launched):
        return _hydra(words)
    by_hydra = len(launched) != len(words)
    ours = [word for word in overrides if not word.lstrip("+~").startswith("hydra")]
    if not by_hydra and len(ours) != len(overrides):
        raise PieError(f"'{next(w for w in overrides if w not in ours)}' is for Hydra's launchers", "Add -m.")
    from pie_bench import settings

    return run(settings.load(ours, registry), registry, overrides if by_hydra else None)


def run(bench: object, registry: Registry, launch: Sequence[str] | None = None) -> int:
    """Run a bench and report it.

    Args:
        bench: its settings, a `pie_bench.settings.BenchConfig`.
        registry: the installed components.
        launch: overrides for a Hydra launcher that does the jobs; None for the bench's own workers.
    """
    from rich.console import Console

    from pie_bench import jobs, pool
    from pie_bench.progress import BenchProgress
    from pie_bench.settings import BenchConfig

    assert isinstance(bench, BenchConfig)
    console = Console()
    plan = jobs.make(bench, registry)
    if bench.job is not None:
        return _one(plan, registry, bench.job)
    jobs.open_folder(plan, _blocks(plan, registry))
    missing = plan.missing()
    console.print(
        f"{bench.set or 'bench'}: {len(plan.methods)} methods, {bench.portraits} portraits, {len(bench.edits)} edits; "
        f"{len(missing)} of {len(plan.jobs())} jobs to do, in {plan.folder}",
        highlight=False,
        soft_wrap=True,
    )
    started = time.perf_counter()
    try:
        if launch is None:
            with BenchProgress(console, dict(missing)) as progress:
                pool.run(plan, registry, progress.tell)
        elif missing:
            _launch(launch, [number for number, _ in missing])
    except KeyboardInterrupt:
        left = len(plan.missing())
        print(
            f"pie: interrupted; {len(plan.jobs()) - left} of {len(plan.jobs())} jobs are done and kept in "
            f"{plan.folder}; the same command goes on",
            file=sys.stderr,
        )
        return 130
    finally:
        jobs.add_seconds(plan.folder, time.perf_counter() - started)
    from pie_bench.report import write_report

    write_report(plan.folder, console)
    return 0


def _blocks(plan: Plan, registry: Registry) -> dict[str, str]:
    """The block that each edit touches."""
    from pie_bench.world import World

    world = World(plan.bench, plan.judge, registry)
    return {name: world.block(name) for name in plan.bench.edits}


def _one(plan: Plan, registry: Registry, number: int) -> int:
    """One job by its number."""
    from pie_bench import pool

    all_jobs = plan.jobs()
    if not 0 <= number < len(all_jobs):
        raise PieError(f"job={number}: the bench has the jobs 0 to {len(all_jobs) - 1}")
    pool.here(plan, registry, [(number, all_jobs[number])], lambda number, done, what: None)
    return 0


def _launch(overrides: Sequence[str], numbers: Sequence[int]) -> None:
    """Let a Hydra launcher do jobs."""
    status = _hydra(["-m", *overrides, "job=" + ",".join(map(str, numbers))])
    if status:
        raise PieError("a job of the bench failed", "What was finished is kept; go on with the same command.")


def _hydra(arguments: Sequence[str]) -> int:
    """Run Hydra on the command line: the job function does one job; flags such as --cfg are Hydra's own."""
    from pie_bench.settings import ROOT

    return compose.start(hydra_job, PROGRAM, arguments, ROOT)


def hydra_job(config: DictConfig) -> None:
    """One job of a sweep, in whatever process the launcher chose."""
    from pie_bench import settings

    registry = compose.installed()
    compose.finish(config, registry)
    run(settings.parse(config), registry)


def explain() -> str:
    """The help, with the sets, methods and settings there are."""
    from hydra.core.global_hydra import GlobalHydra

    from pie_bench.settings import ROOT, options

    lines = [USAGE, "sets:"]
    names = {group: options(group) for group in ("set", "method")}
    with compose.explained(ROOT, ()), compose.initialised():
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        read = hydra.config_loader.repository.load_config  # type: ignore[attr-defined]
        for name in names["set"]:
            node = read(f"set/{name}").config
            lines.append(
                f"  {name:<18}{node.portraits} portraits × {len(node.edits)} edits × {len(node.methods)} methods"
            )
        lines += ["", "methods:"]
        lines += [
            f"  {name:<18}{read(f'method/{name}').config.get('summary', '')}" for name in names["method"]
        ]
    config = compose.compose((), name=ROOT)
    lines += ["", "settings (of set=smoke):"]
    lines += [f"  {key}={_shown(config[key])}" for key in map(str, config) if key not in ("edits", "job")]
    lines += ["  edits:", *(f"    {name}: {' '.join(words)}" for name, words in config.edits.items())]
    return "\n".join(lines)


def _shown(value: object) -> str:
    from omegaconf import ListConfig, OmegaConf

    if isinstance(value, ListConfig):
        return f"[{','.join(map(str, value))}]"
    if isinstance(value, DictConfig):
        return str(OmegaConf.to_container(value))
    return str(value)
