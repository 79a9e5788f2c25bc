"""The recipe that renders a dataset: `pie train portraits`."""

from __future__ import annotations

from pie_framework.api import BuildContext
from pie_synthetic.dataset import render_dataset
from pie_synthetic.settings import PortraitRecipe


def run(settings: PortraitRecipe, context: BuildContext) -> int:
    """Render what is not there yet; returns the exit status 0.

    Raises:
        DatasetError: a count is not positive, or the folder holds a dataset of other settings.
    """
    meta = render_dataset(
        settings.folder,
        settings.persons,
        settings.shots,
        settings.seed,
        settings.size,
        settings.workers,
        edits=settings.edits,
    )
    print(f"{meta.portraits} portraits in {meta.shards} shards: {settings.folder}")
    return 0
