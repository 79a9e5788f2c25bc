"""Where a training runs, by Accelerate: its device, its processes, its precision. It is imported when one starts.

`torchrun` and `accelerate launch` start several processes. Each draws its own batches and has all weights; gradients
are averaged. Only process 0 measures and writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pie_framework.errors import ConfigError, RunError
from pie_training.settings import EngineSettings

if TYPE_CHECKING:
    from accelerate import Accelerator

#: How long a process waits for the others, which may be measuring.
PATIENCE = timedelta(hours=2)
#: Apart from each other in the seeds of the processes.
STRIDE = 1_000_003
PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}


def start(settings: EngineSettings, device: torch.device | str, folder: str | Path) -> Accelerator:
    """Join the processes that the launcher started, or be the only one.

    Args:
        settings: precision, accumulation, threads, and whether there are TensorBoard events.
        device: where this process trains.
        folder: gets the events, in `tensorboard`.

    Raises:
        ConfigError: a package is not installed, or the device cannot do the precision.
        RunError: the other processes are not found.
    """
    try:
        from accelerate import Accelerator, InitProcessGroupKwargs
        from accelerate.state import AcceleratorState
        from accelerate.utils import is_tensorboard_available
    except ImportError as error:
        raise ConfigError(
            f"training needs Accelerate ({error})", "pip install 'pie-framework[train]'"
        ) from error
    device = torch.device(device)
    if settings.precision == "float16" and device.type != "cuda":
        raise ConfigError(
            f"precision=float16 needs a GPU, not {device.type}", "Use precision=bfloat16 or float32."
        )
    if settings.tensorboard and not is_tensorboard_available():
        raise ConfigError("tensorboard=true needs TensorBoard", "pip install 'pie-framework[tensorboard]'")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # What one training chose does not bind the next one of this process; the group of processes stays.
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    try:
        accelerator = Accelerator(
            cpu=device.type == "cpu",
            mixed_precision=PRECISIONS[settings.precision],
            gradient_accumulation_steps=settings.accumulate,
            log_with="tensorboard" if settings.tensorboard else None,
            project_dir=folder,
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
    except (KeyError, ValueError, RuntimeError) as error:
        raise RunError(
            f"the processes of the training do not find each other: {error}",
            "Start them with torchrun or accelerate launch.",
        ) from error
    torch.set_num_threads(settings.threads)
    return accelerator


def generator(accelerator: Accelerator, seed: int) -> torch.Generator:
    """What this process draws from; process 0 draws what a single one would."""
    return torch.Generator().manual_seed(seed + STRIDE * accelerator.process_index)


def summed(accelerator: Accelerator, values: Iterable[float]) -> list[float]:
    """Numbers summed over the processes; every process gets the same."""
    vector = torch.tensor(list(values), dtype=torch.float64, device=accelerator.device)
    return [float(value) for value in accelerator.reduce(vector, "sum").tolist()]


def agreed(accelerator: Accelerator, value: float) -> float:
    """What process 0 says."""
    return summed(accelerator, [value if accelerator.is_main_process else 0.0])[0]


@torch.no_grad()
def share(accelerator: Accelerator, tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors with those of process 0."""
    if accelerator.num_processes > 1:
        from accelerate.utils import broadcast

        for tensor in tensors:
            tensor.copy_(broadcast(tensor.contiguous().to(accelerator.device)))


@torch.no_grad()
def average(accelerator: Accelerator, tensors: Iterable[Tensor | None]) -> None:
    """Replace each tensor by its mean over the processes; of None, all must have as many."""
    if accelerator.num_processes > 1:
        for tensor in tensors:
            if tensor is not None:
                tensor.copy_(accelerator.reduce(tensor.contiguous(), "mean"))


def average_gradients(accelerator: Accelerator, module: nn.Module) -> None:
    """Replace the gradients of a network by their means over the processes."""
    average(accelerator, (parameter.grad for parameter in module.parameters()))
