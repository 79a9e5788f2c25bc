"""What all conformance suites share: building once, random inputs, and the checks of a function of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

Values = Tensor | Mapping[str, Tensor]


class Suite:
    """Base of the suites.

    Attributes:
        dtype: of the component and of its inputs; float64 adds finite differences.
        device: where the component was built.
        tolerance: largest difference, relative and absolute, of results that must be equal; None takes 1e-4 in
            float32 and 1e-8 in float64.
        seed: of the random inputs.
    """

    dtype: ClassVar[torch.dtype] = torch.float32
    device: ClassVar[torch.device] = torch.device("cpu")
    tolerance: ClassVar[float | None] = None
    seed: ClassVar[int] = 0

    def build(self) -> Any:
        """The component under test, on `device` and in `dtype`; called once for each class."""
        raise NotImplementedError("override build() to return the component under test")

    @pytest.fixture
    def component(self) -> Any:
        """What `build` returned."""
        return self._once("component", self.build)

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        """A value kept for the whole class."""
        kept = type(self).__dict__.get("_kept")
        if kept is None:
            kept = {}
            type(self)._kept = kept  # type: ignore[attr-defined]
        if name not in kept:
            kept[name] = make()
        return kept[name]

    def close(
        self, found: Tensor, expected: Tensor, what: str = "the results", tolerance: float | None = None
    ) -> None:
        """Raise AssertionError unless both are equal within the tolerance, the suite's by default."""
        wanted = self.tolerance if tolerance is None else tolerance
        if wanted is None:
            wanted = 1e-8 if self.dtype == torch.float64 else 1e-4
        torch.testing.assert_close(found, expected, rtol=wanted, atol=wanted, msg=lambda m: f"{what}: {m}")

    def rng(self, number: int = 0) -> torch.Generator:
        """A random generator of its own, on the CPU."""
        return torch.Generator().manual_seed(self.seed + number)

    def randn(self, *shape: int, number: int = 0) -> Tensor:
        """Standard normal values; `number` tells draws apart."""
        drawn = torch.randn(shape, generator=self.rng(number), dtype=torch.float64)
        return drawn.to(self.device, self.dtype)

    def rand_images(self, count: int, size: int, number: int = 0) -> Tensor:
        """Smooth random images, (count, 3, size, size) in [-1, 1]."""
        coarse = torch.rand((count, 3, 5, 5), generator=self.rng(number), dtype=torch.float64) * 2 - 1
        smooth = nn.functional.interpolate(coarse, (size, size), mode="bilinear", align_corners=True)
        return smooth.to(self.device, self.dtype)

    def check_place(self, values: Values) -> None:
        """Every tensor is finite, on the device and in the dtype."""
        for name, value in named(values).items():
            assert value.dtype == self.dtype, f"{name or 'the result'} is {value.dtype}, not {self.dtype}"
            assert value.device.type == self.device.type, f"{name or 'the result'} is on {value.device}"
            assert torch.isfinite(value).all(), f"{name or 'the result'} holds values that are not finite"

    def check_function(self, function: Callable[..., Values], *inputs: Tensor) -> None:
        """The same answer each time, for each row alone as in the batch, whatever was asked before, without touching
        its inputs or the global random generator."""
        kept = [value.clone() for value in inputs]
        state = torch.random.get_rng_state()
        with torch.no_grad():
            first = {name: value.clone() for name, value in named(function(*inputs)).items()}
            for value, before in zip(inputs, kept, strict=True):
                assert torch.equal(value, before), "an input was changed in place"
            function(*(value.flip(0) * 0.5 for value in inputs))
            again = named(function(*inputs))
            rows = [named(function(*(value[i : i + 1] for value in inputs))) for i in range(len(inputs[0]))]
        assert torch.equal(torch.random.get_rng_state(), state), "the global random generator was used"
        for name, value in first.items():
            assert torch.equal(value, again[name]), f"{name or 'the result'} differs when asked again"
            alone = torch.cat([row[name] for row in rows])
            self.close(alone, value, "batch against one by one")

    def check_gradient(self, function: Callable[..., Values], *inputs: Tensor, zero: bool = False) -> None:
        """A finite gradient reaches every input; in float64 it equals finite differences along random directions.

        Args:
            function: of the inputs.
            inputs: where the gradient is taken.
            zero: whether a gradient that is 0 everywhere is right.
        """
        leaves = [value.detach().clone().requires_grad_(True) for value in inputs]
        weights: dict[str, Tensor] = {}

        def total(*values: Tensor) -> Tensor:
            result = named(function(*values))
            for number, (name, value) in enumerate(result.items()):
                if name not in weights:
                    weights[name] = self.randn(*value.shape, number=100 + number)
            return torch.stack([(value * weights[name]).sum() for name, value in result.items()]).sum()

        gradients: tuple[Tensor | None, ...] = torch.autograd.grad(total(*leaves), leaves, allow_unused=zero)
        for number, gradient in enumerate(gradients):
            if gradient is None:
                continue
            assert torch.isfinite(gradient).all(), f"the gradient of input {number} is not finite"
            assert zero or gradient.abs().max() > 0, f"the gradient of input {number} is 0 everywhere"
        if self.dtype != torch.float64:
            return
        step = 1e-6
        for number in range(3):
            directions = [
                nn.functional.normalize(
                    self.randn(*v.shape, number=200 + 10 * number + i).flatten(), dim=0
                ).view(v.shape)
                for i, v in enumerate(inputs)
            ]
            with torch.no_grad():
                ahead = total(*(v + step * d for v, d in zip(inputs, directions, strict=True)))
                behind = total(*(v - step * d for v, d in zip(inputs, directions, strict=True)))
            expected = sum(
                ((g * d).sum() for g, d in zip(gradients, directions, strict=True) if g is not None),
                torch.zeros((), dtype=self.dtype, device=self.device),
            )
            size = max(1.0, float(expected.abs()))
            assert float((expected - (ahead - behind) / (2 * step)).abs()) < 1e-5 * size, (
                "the gradient differs from finite differences"
            )

    def check_frozen(self, component: Any) -> None:
        """No weight asks for a gradient, and nothing is in training mode."""
        if isinstance(component, nn.Module):
            asking = [name for name, weight in component.named_parameters() if weight.requires_grad]
            assert not asking, f"weights that ask for gradients: {', '.join(asking[:3])}"
            training = [
                name or "itself" for name, m in component.named_modules() if m.training and has_modes(m)
            ]
            assert not training, f"modules in training mode: {', '.join(training[:3])}"


#: Layers that compute something else in training mode.
_MODES = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)


def has_modes(module: nn.Module) -> bool:
    """Whether training mode changes what the layer computes."""
    return isinstance(module, _MODES)


def named(values: Values) -> dict[str, Tensor]:
    """Tensors by name; a lone tensor has the empty name."""
    return {"": values} if isinstance(values, Tensor) else dict(values)
