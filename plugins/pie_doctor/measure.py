"""What only loading and running can show: whether everything can be built, and the memory that a step takes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pie_doctor.report import Report, Status
from pie_framework.composition.plan import Plan
from pie_framework.errors import PieError, in_one_line
from pie_framework.plugins import Observers

if TYPE_CHECKING:
    from pie_framework.pipeline import Pipeline

GIGA = 1e9


def build_and_measure(report: Report, plan: Plan, measure: bool) -> None:
    """Build everything, as a run does before its first step; with `measure`, also take a step of each stage."""
    from pie_framework.pipeline import Pipeline

    run = plan.config
    try:
        stages = [replace(stage, steps=min(stage.steps, 1)) for stage in run.schedule.stages]
        pipeline = Pipeline(replace(run, schedule=replace(run.schedule, stages=stages)), plan.registry)
        pipeline.build()
        report.add("run", "building", Status.OK, "every component was built, with its weights")
        if measure:
            _measure(report, pipeline, [run.input] if isinstance(run.input, str) else list(run.input))
    except PieError as error:
        report.add("run", "building", Status.ERROR, error.message, error.hint or "")
    except (Exception, SystemExit) as error:
        report.add("run", "building", Status.ERROR, in_one_line(error))


def _measure(report: Report, pipeline: Pipeline, inputs: Sequence[str]) -> None:
    """Take the steps, and report the peak of this process, with all that its libraries take."""
    import torch

    device = pipeline.builder.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    solution = pipeline.embed(*inputs, observers=Observers()).solution
    if solution.error is not None:
        return report.add("memory", "peak", Status.ERROR, solution.message)
    found = {"main memory": _peak()}
    if device.type == "cuda":
        found[str(device)] = torch.cuda.max_memory_allocated(device)
    report.facts["measured"] = found
    text = ", ".join(f"{count / GIGA:.2f} GB of {what}" for what, count in found.items())
    steps = len(pipeline.stages)
    report.add("memory", "peak", Status.OK, f"{text}, in a step of each of {steps} stages")


def _peak() -> int:
    """Most main memory that this process had so far, bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
