"""`pie run`: Hydra composes, the configuration is checked before anything is loaded, then the engine runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from pie_framework import backbone, compose, requirements
from pie_framework.config import parse
from pie_framework.errors import PieError
from pie_framework.plugins import discover

PROGRAM = "pie run"


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status; raises PieError for what the person can mend."""
    registry = discover()
    for problem in registry.problems:
        print(f"pie: warning: {problem}", file=sys.stderr)
    compose.prepare(registry)
    arguments = backbone.expand(arguments)
    multirun = any(word in ("-m", "--multirun") for word in arguments)
    statuses: list[int] = []
    errors: list[PieError] = []

    @hydra.main(
        version_base=compose.HYDRA_VERSION_BASE,
        config_path=f"pkg://{compose.CONFIG_MODULE}",
        config_name=compose.CONFIG_NAME,
    )
    def job(config: DictConfig) -> None:
        try:
            status = run(config)
        except PieError as error:
            if not multirun:
                errors.append(error)
                return
            print(f"pie: error: {error}", file=sys.stderr)
            raise FailedJob(str(error)) from error
        statuses.append(status)
        if status and multirun:
            raise FailedJob(f"exit status {status}")

    before = sys.argv
    sys.argv = [PROGRAM, *arguments]
    try:
        with compose.raw_errors():
            job()
    except FailedJob as error:
        raise PieError(f"a run of the sweep failed: {error}") from error
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except (HydraException, OmegaConfBaseException) as error:
        raise compose.explain(error) from error
    finally:
        sys.argv = before
    if errors:
        raise errors[0]
    return max(statuses, default=0)


class FailedJob(Exception):
    """One job of a sweep failed; it has been reported."""


def run(config: DictConfig) -> int:
    """Check one composed configuration, then run it; returns the exit status."""
    parsed = parse(config)
    if parsed.resume is None:
        requirements.check(parsed, discover())
    from pie_framework.run import run_from_config

    return run_from_config(config)
