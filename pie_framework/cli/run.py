"""`pie run`: Hydra composes, the configuration is checked before anything is loaded, then the engine runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from omegaconf import DictConfig

from pie_framework.composition import backbone, compose
from pie_framework.composition.plan import make_plan
from pie_framework.composition.schema import parse
from pie_framework.errors import ConfigError, PieError
from pie_framework.plugins import discover

PROGRAM = "pie run"


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status; raises PieError for what the person can mend."""
    registry = discover()
    for problem in registry.problems:
        print(f"pie: warning: {problem}", file=sys.stderr)
    _check_resume(arguments)
    arguments = backbone.expand(arguments)
    multirun = any(word in ("-m", "--multirun") for word in arguments)
    process = os.getpid()
    statuses: list[int] = []
    errors: list[PieError] = []

    def job(config: DictConfig) -> None:
        try:
            compose.finish(config)
            status = run(config)
        except PieError as error:
            if not multirun:
                errors.append(error)
                return
            print(f"pie: error: {error}", file=sys.stderr)
            status = error.status
        statuses.append(status)
        if status and os.getpid() != process:  # of a launcher; nothing else gets from there to here
            raise FailedJob(status)

    try:
        left = compose.start(job, PROGRAM, arguments, registry=registry)
    except FailedJob as error:
        left = error.status
    if errors:
        raise errors[0]
    return max([left, *statuses])


def _check_resume(arguments: Sequence[str]) -> None:
    """A run goes on as it was started: ConfigError when something else is asked for beside `resume=`."""
    settings = [word for word in arguments if "=" in word and not word.startswith(("-", "hydra."))]
    others = [word for word in settings if not word.startswith("resume=")]
    if others and any(word.startswith("resume=") and word != "resume=null" for word in settings):
        raise ConfigError(
            f"resume goes on with the run's own configuration, '{others[0]}' cannot change it",
            "Leave it out, or start a new run.",
        )


class FailedJob(PieError):
    """A job in another process failed, with this exit status; it has been reported."""

    def __init__(self, status: int) -> None:
        super().__init__(f"exit status {status}")
        self.status = status
        self.args = (status,)  # what it is made of again in this process


def run(config: DictConfig) -> int:
    """Check one composed configuration, then run it; returns the exit status."""
    run = parse(config)
    # The plugins are discovered again in another process of a launcher.
    plan = make_plan(run, compose.installed()).check(photos=True) if run.resume is None else run
    from pie_framework.runs.run import run_from_config

    return run_from_config(plan)
