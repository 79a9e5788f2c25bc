"""The embedded world satisfies the contract of scenes."""

from __future__ import annotations

from typing import Any

from pie_framework.testing.conformance import ScenesTests
from pie_synthetic.settings import SceneSettings
from pie_synthetic.source import EmbeddedScenes


class TestEmbeddedScenes(ScenesTests):
    def build(self) -> Any:
        return EmbeddedScenes(SceneSettings(size=32), self.device, self.dtype)
