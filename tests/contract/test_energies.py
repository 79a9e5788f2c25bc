"""The five energies satisfy the contract, each with no more than what it declares to require."""

from __future__ import annotations

from typing import Any

from pie_energies import plugin
from pie_framework.testing.conformance import EnergyTermTests

DECLARED = {component.name: component for component in plugin.pie_components()}


class _Declared(EnergyTermTests):
    name: str

    def build(self) -> Any:
        component = DECLARED[self.name]
        return component.load()(component.config(), self.context)


class TestSynthesis(_Declared):
    name = "synthesis"
    requires = DECLARED["synthesis"].requires
    zero_at_target = True


class TestIdentity(_Declared):
    name = "identity"
    requires = DECLARED["identity"].requires
    zero_at_target = True


class TestEdit(_Declared):
    name = "edit"
    requires = DECLARED["edit"].requires
    zero_at_target = True


class TestInvariance(_Declared):
    name = "invariance"
    requires = DECLARED["invariance"].requires
    zero_at_target = True


class TestRecognition(_Declared):
    name = "recognition"
    requires = DECLARED["recognition"].requires


def test_every_energy_has_a_class_here() -> None:
    assert {cls.name for cls in _Declared.__subclasses__()} == set(DECLARED)
