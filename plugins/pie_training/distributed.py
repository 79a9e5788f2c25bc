"""Training in several processes: who this one is, what it draws, and what all of them agree on.

`torchrun` and `accelerate launch` set RANK, WORLD_SIZE, LOCAL_RANK and MASTER_*; nothing else is needed. Every process
draws its own batches and has all weights; gradients are averaged. Only process 0 measures and writes.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from pie_framework.errors import RunError

#: How long a process waits for the others, which may be measuring.
PATIENCE = timedelta(hours=2)
#: Apart from each other in the seeds of the processes.
STRIDE = 1_000_003


class Processes:
    """The processes that train together.

    Attributes:
        rank: number of this one; 0 writes.
        size: how many there are; with 1 every method returns at once.
        device: where tensors that are exchanged lie.
    """

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device | str = "cpu") -> None:
        self.rank, self.size, self.device = rank, size, torch.device(device)

    @property
    def first(self) -> bool:
        """Whether this is the process that measures and writes."""
        return self.rank == 0

    def generator(self, seed: int) -> torch.Generator:
        """What this process draws from; process 0 draws what a single one would."""
        return torch.Generator().manual_seed(seed + STRIDE * self.rank)

    def sum(self, values: Sequence[float]) -> list[float]:
        """Numbers summed over the processes; every process gets the same."""
        if self.size == 1:
            return list(values)
        vector = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(vector)
        return [float(value) for value in vector.tolist()]

    def agree(self, value: float) -> float:
        """What process 0 says."""
        return self.sum([value if self.first else 0.0])[0]

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the processes; those that are None in all stay so.

        All are sent at once, as one vector.
        """
        if self.size == 1:
            return
        trained = [p for p in parameters if p.requires_grad]
        there = self.sum([0.0 if p.grad is None else 1.0 for p in trained])
        chosen = [p for p, count in zip(trained, there, strict=True) if count]
        for parameter in chosen:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self._average([p.grad for p in chosen if p.grad is not None])

    def average_buffers(self, modules: Iterable[nn.Module]) -> None:
        """Replace floating-point buffers (running statistics) by their means over the processes."""
        if self.size > 1:
            self._average([b for m in modules for b in m.buffers() if b.is_floating_point()])

    def _average(self, tensors: list[Tensor]) -> None:
        if not tensors:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors]) / self.size
        distributed.all_reduce(flat)
        for tensor, part in zip(tensors, torch.split(flat, [t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    @torch.no_grad()
    def share(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of process 0."""
        if self.size > 1:
            for tensor in tensors:
                moved = tensor.to(self.device).contiguous()
                distributed.broadcast(moved, 0)
                tensor.copy_(moved)

    def gather(self, value: Any) -> list[Any]:
        """What each process gives (plain values, tensors, containers of them), at process 0; elsewhere an empty list.

        Tensors of others come on the CPU: a GPU of theirs is not one of process 0's.
        """
        if self.size == 1:
            return [value]
        found: list[Any] | None = [None] * self.size if self.first else None
        distributed.gather_object(on_cpu(value), found)
        return found or []

    def barrier(self) -> None:
        """Wait for the others."""
        self.sum([0.0])


def on_cpu(value: Any) -> Any:
    """The same value with its tensors on the CPU."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {key: on_cpu(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(on_cpu(inner) for inner in value)
    return value


def join(device: torch.device | str = "cpu") -> Processes:
    """Join the processes that the launcher started, or be the only one.

    Args:
        device: where this one trains; it decides how they talk (nccl on a GPU, gloo on the CPU).

    Raises:
        RunError: the launcher's variables are not complete, or the others are not found.
    """
    device = torch.device(device)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size <= 1:
        return Processes(device=device)
    try:
        rank = int(os.environ["RANK"])
        if not distributed.is_initialized():
            if device.type == "cuda":
                torch.cuda.set_device(device)
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
            atexit.register(leave)
    except (KeyError, ValueError, RuntimeError) as error:
        raise RunError(
            f"WORLD_SIZE is {size}, but the other processes are not found: {error}",
            "Start them with torchrun or accelerate launch.",
        ) from error
    return Processes(rank, size, device)


def leave() -> None:
    """Leave the processes; called at exit."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


class _Sum(torch.autograd.Function):
    """The sum over the processes, in both directions."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


def _summed(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by the statistics of the whole batch, over all processes, on any device.

    Alone it is `nn.BatchNorm2d`, whose state it has.
    """

    def forward(self, x: Tensor) -> Tensor:
        together = distributed.is_available() and distributed.is_initialized()
        if not self.training or not together or distributed.get_world_size() == 1:
            return super().forward(x)
        values = x.float()
        count = values.numel() // values.shape[1] * distributed.get_world_size()
        mean = _summed(values.sum(dim=(0, 2, 3))) / count
        centred = values - mean[:, None, None]
        variance = _summed(centred.square().sum(dim=(0, 2, 3))) / count
        if self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                share = 0.1 if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean.to(self.running_mean), share)
                self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var), share)
                if self.num_batches_tracked is not None:
                    self.num_batches_tracked += 1
        normal: Tensor = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        if self.affine:
            normal = normal * self.weight[:, None, None] + self.bias[:, None, None]
        return normal.to(x.dtype)
