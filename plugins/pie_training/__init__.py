"""What training recipes share: settings, the engine, augmentation. It imports no torch."""

from __future__ import annotations

from pie_training.readers import PortraitReader
from pie_training.settings import EngineSettings, Product, TrainerSettings

__all__ = ["EngineSettings", "PortraitReader", "Product", "TrainerSettings"]
