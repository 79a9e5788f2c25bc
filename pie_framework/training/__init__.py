"""What training recipes share: settings, the loop, weight files, augmentation. It imports no torch."""

from __future__ import annotations

from pie_framework.training.settings import PortraitReader, TrainerSettings

__all__ = ["PortraitReader", "TrainerSettings"]
