"""What training recipes share: settings, the engine, weight files, augmentation. It imports no torch."""

from __future__ import annotations

from pie_training.settings import EngineSettings, PortraitReader, TrainerSettings

__all__ = ["EngineSettings", "PortraitReader", "TrainerSettings"]
