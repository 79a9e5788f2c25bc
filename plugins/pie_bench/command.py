"""`pie bench`: methods measured on portraits whose true edits are known; `pie bench models`: the models alone."""

from __future__ import annotations

import argparse
import functools
import importlib
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from pie_bench import workers
from pie_bench.workers import need_libraries
from pie_framework.composition.compose import compose, finish, start
from pie_framework.composition.hydra_setup import installed, prepare
from pie_framework.errors import PieError
from pie_framework.plugins import Registry, config_folders, discover

if TYPE_CHECKING:
    from rich.console import Console

    from pie_bench.jobs import Job, Plan
    from pie_bench.settings import BenchConfig

PROGRAM = "pie bench"
SUBCOMMANDS = {"models": "pie_bench.models.command", "report": "pie_bench.report"}
USAGE = """usage: pie bench [set=SET] [KEY=VALUE ...]
       pie bench models [KEY=VALUE ...]
       pie bench report FOLDER [--markdown]

Measures methods on portraits whose parameters are known, so that the true result of every edit can be rendered:
methods × portraits × edits × seeds. The same command goes on where it was interrupted.

  pie bench                                        a few minutes: set=smoke
  pie bench set=full workers=8                     all methods, edits and portraits
  pie bench set=full methods=[full,synth] portraits=4
  pie bench -m set=full hydra/launcher=joblib      its jobs by a Hydra launcher
  pie bench models                                 how good the models are, each on its own
  pie bench report outputs/bench_full              the tables and the page again, also while it runs
"""


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status; raises PieError for what the person can mend."""
    words = list(arguments)
    if words[:1] and words[0] in SUBCOMMANDS:
        if not {"-h", "--help"} & set(words):
            need_libraries()
        status: int = importlib.import_module(SUBCOMMANDS[words[0]]).main(words[1:])
        return status
    parser = argparse.ArgumentParser(PROGRAM, add_help=False, allow_abbrev=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("overrides", nargs="*")
    asked, flags = parser.parse_known_intermixed_args(words)
    registry = discover()
    for problem in registry.problems:
        print(f"pie: warning: {problem}", file=sys.stderr)
    prepare()
    if asked.help:
        print(explain(registry))
        return 0
    if flags:
        return _hydra(words)
    ours = [word for word in asked.overrides if not word.lstrip("+~").startswith("hydra")]
    if not asked.multirun and len(ours) != len(asked.overrides):
        raise PieError(
            f"'{next(w for w in asked.overrides if w not in ours)}' is for Hydra's launchers", "Add -m."
        )
    from pie_bench.settings import load

    return run(load(ours, registry), registry, asked.overrides if asked.multirun else None)


def run(bench: BenchConfig, registry: Registry, launch: Sequence[str] | None = None) -> int:
    """Run a bench and report it: tables on standard output, everything else on standard error.

    Args:
        bench: its settings.
        registry: the installed components.
        launch: overrides for a Hydra launcher that does the jobs; None for the bench's own workers.
    """
    from rich.console import Console

    from pie_bench import jobs

    need_libraries()
    console = Console(stderr=True)
    plan = jobs.make(bench, registry)
    every = plan.jobs()
    if bench.job is not None:
        if not 0 <= bench.job < len(every):
            raise PieError(f"job={bench.job}: the bench has the jobs 0 to {len(every) - 1}")
        _work(plan, [every[bench.job]], 1, registry)
        return 0
    jobs.open_folder(plan, _blocks(plan, registry))
    missing = plan.missing()
    console.print(
        f"{bench.set or 'bench'}: {len(plan.methods)} methods, {bench.portraits} portraits, {len(bench.edits)} edits; "
        f"{len(missing)} of {len(every)} jobs to do, in {plan.folder}",
        highlight=False,
        soft_wrap=True,
    )
    started = time.perf_counter()
    try:
        if launch is None:
            _work(plan, [job for _, job in missing], bench.workers, registry, console)
        elif missing:
            _launch(launch, [number for number, _ in missing])
    except KeyboardInterrupt:
        print(
            f"pie: interrupted; {len(every) - len(plan.missing())} of {len(every)} jobs are done and kept in "
            f"{plan.folder}; the same command goes on",
            file=sys.stderr,
        )
        return 130
    finally:
        jobs.add_seconds(plan.folder, time.perf_counter() - started)
    from pie_bench.report import write_report

    write_report(plan.folder, Console())
    return 0


def _work(
    plan: Plan, todo: Sequence[Job], number: int, registry: Registry, console: Console | None = None
) -> None:
    """Do jobs in that number of processes."""
    from pie_bench.engine import Engine

    workers.run(todo, functools.partial(Engine, plan), Engine.run, number, registry, console)


def _blocks(plan: Plan, registry: Registry) -> dict[str, str]:
    """The block that each edit touches."""
    from pie_bench.world import World

    world = World(plan.bench, plan.judge, registry)
    return {name: world.block(name) for name in plan.bench.edits}


def _launch(overrides: Sequence[str], numbers: Sequence[int]) -> None:
    """Let a Hydra launcher do jobs."""
    status = _hydra(["-m", *overrides, "job=" + ",".join(map(str, numbers))])
    if status:
        raise PieError("a job of the bench failed", "What was finished is kept; go on with the same command.")


def _hydra(arguments: Sequence[str]) -> int:
    """Run Hydra on the command line: the job function does one job; flags such as --cfg are Hydra's own."""
    from pie_bench.settings import ROOT

    return start(hydra_job, PROGRAM, arguments, ROOT)


def hydra_job(config: DictConfig) -> None:
    """One job of a sweep, in whatever process the launcher chose."""
    from pie_bench import settings

    registry = installed()
    finish(config, registry)
    run(settings.parse(config), registry)


def explain(registry: Registry) -> str:
    """The help, with the sets, methods and settings there are."""
    from pie_bench.settings import ROOT

    def read(group: str) -> dict[str, Any]:
        folders = [folder / group for _, folder in reversed(config_folders(registry))]
        files = {file.stem: file for folder in folders for file in folder.glob("*.yaml")}
        return {name: OmegaConf.load(files[name]) for name in sorted(files)}

    lines = [USAGE, "sets:"]
    for name, node in read("set").items():
        size = f"{node.portraits} portraits × {len(node.edits)} edits × {len(node.methods)} methods"
        lines.append(f"  {name:<18}{size}")
    lines += ["", "methods:"]
    lines += [f"  {name:<18}{node.get('summary', '')}" for name, node in read("method").items()]
    config = compose((), registry, ROOT)
    lines += ["", "settings (of set=smoke):"]
    lines += [f"  {key}={_shown(config[key])}" for key in map(str, config) if key not in ("edits", "job")]
    lines += ["  edits:", *(f"    {name}: {' '.join(words)}" for name, words in config.edits.items())]
    return "\n".join(lines)


def _shown(value: object) -> str:
    if isinstance(value, ListConfig):
        return f"[{','.join(map(str, value))}]"
    return str(OmegaConf.to_container(value) if isinstance(value, DictConfig) else value)
