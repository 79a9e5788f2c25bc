"""Conformance suite of optimizers, on a quadratic bowl."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pie_framework.api import Optimizer
from pie_framework.testing.suites.base import Suite

State = tuple[Tensor, ...]


class OptimizerTests(Suite):
    """Override `build` to return an `Optimizer`.

    Attributes:
        lr: step size.
        steps: how many steps must lower a quadratic.
        shapes: of the variable: (B, 1, D) in a W stage, (B, L, D) in a W+ stage.
    """

    dtype: ClassVar[torch.dtype] = torch.float64
    lr: ClassVar[float] = 0.02
    steps: ClassVar[int] = 30
    shapes: ClassVar[tuple[tuple[int, ...], ...]] = ((3, 1, 5), (3, 4, 5))

    def goal(self, shape: tuple[int, ...]) -> Tensor:
        """The bottom of the bowl, another for each row."""
        return self.randn(*shape, number=1)

    def walk(
        self,
        optimizer: Optimizer,
        start: Tensor,
        goal: Tensor,
        steps: int,
        state: State | None = None,
        first: int = 1,
    ) -> tuple[Tensor, State]:
        """The variable and the state after some steps down ½‖x - goal‖²."""
        variable = start.clone()
        with torch.no_grad():
            now: State = optimizer.init(variable) if state is None else state
            for step in range(first, first + steps):
                change, now = optimizer.update(variable, variable - goal, now, self.lr, step)
                variable = variable + change
        return variable, now

    def check_state(self, state: object, batch: int) -> None:
        """A tuple of tensors, the batch first."""
        assert isinstance(state, tuple), f"the state is a {type(state).__name__}, no tuple"
        for number, value in enumerate(state):
            assert isinstance(value, Tensor), f"part {number} of the state is no tensor"
            assert value.dim() >= 1 and value.shape[0] == batch, (
                f"part {number} of the state has the shape {tuple(value.shape)}; the batch of {batch} comes first"
            )
            assert value.device.type == self.device.type, f"part {number} of the state is on {value.device}"
            assert not value.requires_grad, f"part {number} of the state carries a gradient"
            assert torch.isfinite(value).all(), f"part {number} of the state is not finite"

    def test_satisfies_the_protocol(self) -> None:
        self.check_protocol(Optimizer)

    def test_change_and_state(self) -> None:
        for shape in self.shapes:
            start = self.randn(*shape)
            with torch.no_grad():
                state = self.component.init(start)
                self.check_state(state, shape[0])
                change, after = self.component.update(start, start, state, self.lr, 1)
            self.check_shape(change, shape, "the change")
            self.check_place(change)
            assert not change.requires_grad, "the change carries a gradient"
            self.check_state(after, shape[0])

    def test_function_of_what_it_is_given(self) -> None:
        start, goal = self.randn(*self.shapes[-1]), self.goal(self.shapes[-1])
        variable, state = self.walk(self.component, start, goal, 3)
        gradient = variable - goal
        given = {"variable": variable, "gradient": gradient, "state": state}
        with torch.no_grad(), self.untouched(**given):
            first, kept = self.component.update(variable, gradient, state, self.lr, 4)
            self.component.update(-variable, 2 * gradient, state, 3 * self.lr, 9)
            again, same = self.component.update(variable, gradient, state, self.lr, 4)
        self.same(first, again, "the change differs when asked again")
        assert len(kept) == len(same), "the state has other parts when asked again"
        for before, now in zip(kept, same, strict=True):
            self.same(before, now, "the state differs when asked again")

    def test_rows_are_independent(self) -> None:
        for shape in self.shapes:
            start, goal = self.randn(*shape), self.goal(shape)
            whole, _ = self.walk(self.component, start, goal, 5)
            for row in range(shape[0]):
                one = slice(row, row + 1)
                alone, _ = self.walk(self.component, start[one], goal[one], 5)
                self.close(alone, whole[one], "batch against one by one")

    def test_lowers_a_quadratic(self) -> None:
        for shape in self.shapes:
            start, goal = self.randn(*shape), self.goal(shape)
            end, _ = self.walk(self.component, start, goal, self.steps)
            self.check_place(end)
            before = (start - goal).square().sum(dim=(1, 2))
            after = (end - goal).square().sum(dim=(1, 2))
            assert (after < before).all(), f"{self.steps} steps do not lower a quadratic"

    def test_no_gradient_no_step(self) -> None:
        start = self.randn(*self.shapes[-1])
        with torch.no_grad():
            change, state = self.component.update(
                start, torch.zeros_like(start), self.component.init(start), self.lr, 1
            )
        assert torch.equal(change, torch.zeros_like(start)), "a gradient of 0 moves the variable"
        self.check_state(state, len(start))

    def test_goes_on_from_its_state(self) -> None:
        start, goal = self.randn(*self.shapes[-1]), self.goal(self.shapes[-1])
        straight, _ = self.walk(self.component, start, goal, 8)
        half, state = self.walk(self.component, start, goal, 4)
        kept = tuple(value.clone() for value in state)
        again, _ = self.walk(self.build(), half, goal, 4, kept, 5)
        self.same(straight, again, "a run that goes on from the state differs from one that never stopped")
