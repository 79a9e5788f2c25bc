"""What all conformance suites share: building once, random inputs, and the checks of a function of tensors.

Nothing here needs pytest: a suite is a class whose methods `test_*` take no arguments, fail by AssertionError, skip by
`unittest.SkipTest` and give advice by a `ConformanceWarning`. `pie plugins check` runs them by itself.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NoReturn, TypeVar
from unittest import SkipTest

import torch
from torch import Tensor, nn

from pie_framework.api import BuildContext
from pie_framework.testing._context import toy_context
from pie_framework.testing.suites._watching import Snapshot, inside, untouched_globals

Values = Tensor | Mapping[str, Tensor]
Same = TypeVar("Same", bound="Suite")


class ConformanceWarning(UserWarning):
    """Something that is allowed and yet better mended."""


class Suite:
    """Base of the suites.

    Attributes:
        dtype: of the component and of its inputs; float64 adds finite differences.
        device: where the component is built.
        requires: as in the declaration: what `context` gives; None gives all.
        tolerance: largest difference, relative and absolute, of results that must be equal; None takes 1e-4 in
            float32 and 1e-8 in float64.
        seed: of the random inputs.
    """

    dtype: ClassVar[torch.dtype] = torch.float32
    device: ClassVar[torch.device] = torch.device("cpu")
    requires: ClassVar[frozenset[str] | None] = None
    tolerance: ClassVar[float | None] = None
    seed: ClassVar[int] = 0

    def build(self) -> Any:
        """The component under test, on `device` and in `dtype`; a new one at each call."""
        raise NotImplementedError("override build() to return the component under test")

    @property
    def context(self) -> BuildContext:
        """What a factory gets: the toy world, limited to what the component requires."""
        made: BuildContext = self._once(
            "context", lambda: toy_context(self.dtype, device=self.device, requires=self.requires)
        )
        return made

    @property
    def component(self) -> Any:
        """What `build` returned, the same for all tests of a class."""
        return self._once("component", self.build)

    def twin(self: Same, dtype: torch.dtype) -> Same:
        """The same suite in another precision, with a component of its own."""
        if dtype == self.dtype:
            return self
        kind = type(self)
        made: Same = self._once(f"twin {dtype}", lambda: type(kind.__name__, (kind,), {"dtype": dtype})())
        return made

    def skip(self, reason: str) -> NoReturn:
        """Leave a test out where it does not apply."""
        raise SkipTest(reason)

    def advise(self, fine: bool, message: str) -> None:
        """Warn when something is allowed and yet better mended."""
        if not fine:
            warnings.warn(message, ConformanceWarning, stacklevel=2)

    @property
    def notes(self) -> list[str]:
        """What was measured, for those who print it."""
        found: list[str] = self.__dict__.setdefault("_notes", [])
        return found

    @contextmanager
    def refused(self, error: type[Exception], word: str = "") -> Iterator[None]:
        """What is done inside must be refused by such an error, whose text has the word."""
        text = None
        try:
            yield
        except error as found:
            text = str(found)
        assert text is not None, f"there is no {error.__name__}"
        assert word in text, f"the error does not name '{word}': {text}"

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        """A value kept for the whole class, and for no other."""
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
        wanted = self._allowed(tolerance)
        torch.testing.assert_close(found, expected, rtol=wanted, atol=wanted, msg=lambda m: f"{what}: {m}")

    def same(self, found: Tensor, expected: Tensor, what: str) -> None:
        """Raise AssertionError unless both are equal: bit for bit on the processor, within the tolerance on a GPU,
        whose kernels may add in any order.

        Args:
            found: of the same computation as `expected`, of as many rows.
            expected: what it gave before.
            what: the fault, in words.
        """
        if self.device.type == "cpu":
            assert torch.equal(found, expected), what
        else:
            self.close(found, expected, what)

    def alike(self, found: Tensor, expected: Tensor, what: str, share: float = 0.005) -> None:
        """Raise AssertionError unless two images or masks are equal within the tolerance, up to a few pixels.

        An edge that falls on the middle of a pixel may fall beside it in a batch of another size.

        Args:
            found: (B, ..., H, W).
            expected: the same.
            what: they are, in words.
            share: of the pixels that may differ.
        """
        assert found.shape == expected.shape, f"{what}: {tuple(found.shape)} against {tuple(expected.shape)}"
        wanted = self._allowed(None)
        apart = ~torch.isclose(found.double(), expected.double(), rtol=wanted, atol=wanted)
        apart = apart.flatten(1, -3).any(dim=1) if apart.ndim > 3 else apart
        differing = float(apart.double().mean())
        assert differing <= share, f"{what}: {100 * differing:.2g} % of the pixels differ"

    def _allowed(self, tolerance: float | None) -> float:
        """The tolerance, the suite's where None is given."""
        wanted = self.tolerance if tolerance is None else tolerance
        return wanted if wanted is not None else 1e-8 if self.dtype == torch.float64 else 1e-4

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
            assert isinstance(value, Tensor), f"{name or 'the result'} is a {type(value).__name__}, no tensor"
            assert value.dtype == self.dtype, f"{name or 'the result'} is {value.dtype}, not {self.dtype}"
            assert value.device.type == self.device.type, f"{name or 'the result'} is on {value.device}"
            assert torch.isfinite(value).all(), f"{name or 'the result'} holds values that are not finite"

    def check_protocol(self, protocol: type) -> None:
        """Raise AssertionError unless the component has the members of a protocol."""
        made = type(self.component).__name__
        assert isinstance(self.component, protocol), f"{made} is no {protocol.__name__}"

    def check_shape(self, value: Tensor, shape: tuple[int, ...], what: str) -> None:
        """Raise AssertionError unless a tensor has the shape."""
        assert tuple(value.shape) == shape, f"{what} has the shape {tuple(value.shape)}, not {shape}"

    @contextmanager
    def untouched(self, **objects: Any) -> Iterator[None]:
        """Nothing global is changed inside, nor the component's weights, nor a tensor of the objects."""
        before = Snapshot(component=self.component, **objects)
        with untouched_globals():
            yield
        before.check()

    def check_function(
        self, function: Callable[..., Values], *inputs: Tensor, pixels: Sequence[str] = ()
    ) -> None:
        """The same answer each time, for each row alone as in the batch, whatever was asked before, without touching
        its inputs, the component's weights or anything global.

        Args:
            function: of the inputs.
            inputs: batch first.
            pixels: names of the results that are images with a silhouette, of which a few pixels may differ.
        """
        kept = [value.clone() for value in inputs]
        with torch.no_grad(), self.untouched():
            first = {name: value.clone() for name, value in named(function(*inputs)).items()}
            for value, before in zip(inputs, kept, strict=True):
                assert torch.equal(value, before), "an input was changed in place"
            function(*(value.flip(0) * 0.5 for value in inputs))
            again = named(function(*inputs))
            rows = [named(function(*(value[i : i + 1] for value in inputs))) for i in range(len(inputs[0]))]
        for name, value in first.items():
            alone = torch.cat([row[name] for row in rows])
            edges, told = name in pixels, f"{name or 'the result'} differs when asked again"
            if edges and self.device.type != "cpu":
                self.alike(again[name], value, told)
            else:
                self.same(again[name], value, told)
            (self.alike if edges else self.close)(alone, value, "batch against one by one")

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

        whole = total(*leaves)
        assert zero or whole.requires_grad, "no gradient flows to the inputs"
        gradients: tuple[Tensor | None, ...] = tuple(None for _ in leaves)
        if whole.requires_grad:
            gradients = torch.autograd.grad(whole, leaves, allow_unused=True)
        for number, gradient in enumerate(gradients):
            assert zero or gradient is not None, f"no gradient flows to input {number}"
            if gradient is None:
                continue
            assert torch.isfinite(gradient).all(), f"the gradient of input {number} is not finite"
            assert zero or gradient.abs().max() > 0, f"the gradient of input {number} is 0 everywhere"
        if self.dtype != torch.float64:
            return
        step, length = 1e-6, _length(gradients)
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
            found = float((ahead - behind) / (2 * step))
            # Directions have length 1; the differences carry the rounding of the function's own size.
            allowed = 1e-5 * max(length, abs(found)) + 1e-8 * max(1.0, abs(float(ahead)))
            assert abs(float(expected) - found) < allowed, "the gradient differs from finite differences"

    def check_frozen(self, component: Any) -> None:
        """No weight asks for a gradient and nothing is in training mode, also in the modules that a plain object holds.

        A run freezes the module that a factory returns, and no other.
        """
        held = list(inside("", component))
        asking = [path for path, part in held if isinstance(part, nn.Parameter) and part.requires_grad]
        assert not asking, f"weights that ask for gradients: {', '.join(asking[:3])}"
        training = [
            path or "itself"
            for path, part in held
            if isinstance(part, nn.Module) and part.training and has_modes(part)
        ]
        assert not training, f"modules in training mode: {', '.join(training[:3])}"


#: Layers that compute something else in training mode.
_MODES = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)


def has_modes(module: nn.Module) -> bool:
    """Whether training mode changes what the layer computes."""
    return isinstance(module, _MODES)


def seconds(function: Callable[[], object], often: int = 3, enough: float = 1.0) -> float:
    """Wall time of a call: the least of a few, or of fewer where they take long."""
    found: list[float] = []
    while len(found) < often and sum(found) < enough:
        started = time.perf_counter()
        function()
        found.append(time.perf_counter() - started)
    return min(found)


def _length(gradients: Sequence[Tensor | None]) -> float:
    """Euclidean length of all gradients together."""
    return float(sum(float(g.square().sum()) for g in gradients if g is not None) ** 0.5)


def named(values: Values) -> dict[str, Tensor]:
    """Tensors by name; a lone tensor has the empty name."""
    return {"": values} if isinstance(values, Tensor) else dict(values)
