"""Conformance suites for plugin authors: subclass one, build your component, and the contract's tests run.

```python
from pie_framework.testing.conformance import GeneratorTests

class TestMyGenerator(GeneratorTests):
    def build(self):
        return MyGenerator(...)
```

`build` makes the component, with small or random weights if possible: nothing here asks for quality. `self.component`
is one that is kept for the class, `self.context` the toy world as a factory's context. Set `dtype = torch.float64` and
build in it to have gradients compared with finite differences; in float32 they need only be there and be finite.

pytest runs the classes, and so does `pie plugins check`, which needs no pytest.
"""

from __future__ import annotations

from pie_framework.testing.suites.editors import EditorTests, InverterTests
from pie_framework.testing.suites.energy_terms import EnergyTermTests
from pie_framework.testing.suites.face_models import FaceModelTests
from pie_framework.testing.suites.generators import GeneratorTests
from pie_framework.testing.suites.images import (
    FaceEncoderTests,
    FeatureNetworkTests,
    LandmarkDetectorTests,
)
from pie_framework.testing.suites.observers import CommandTests, ObserverTests
from pie_framework.testing.suites.optimizers import OptimizerTests
from pie_framework.testing.suites.photos import AlignerTests
from pie_framework.testing.suites.rigs import RigNetworkTests
from pie_framework.testing.suites.scenes import ScenesTests
from pie_framework.testing.suites.starting import InitializerTests

__all__ = [
    "AlignerTests",
    "CommandTests",
    "EditorTests",
    "EnergyTermTests",
    "FaceEncoderTests",
    "FaceModelTests",
    "FeatureNetworkTests",
    "GeneratorTests",
    "InitializerTests",
    "InverterTests",
    "LandmarkDetectorTests",
    "ObserverTests",
    "OptimizerTests",
    "RigNetworkTests",
    "ScenesTests",
]
