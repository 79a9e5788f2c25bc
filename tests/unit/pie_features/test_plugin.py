from __future__ import annotations

import subprocess
import sys

from pie_features import plugin
from pie_framework.api import Kind


def test_declarations_load() -> None:
    components = plugin.pie_components()
    names = {(component.kind, component.name) for component in components}
    assert names == {
        (Kind.FEATURES, "recognition"),
        (Kind.FEATURES, "perceptual"),
        (Kind.FEATURES, "vgg16"),
        (Kind.FEATURES, "vggface16"),
        (Kind.FEATURES, "arcface"),
        (Kind.CONVERTER, "features"),
        (Kind.TRAINER, "recognition"),
        (Kind.TRAINER, "perceptual"),
    }
    for component in components:
        assert callable(component.load())
        component.config()


def test_listing_imports_no_torch() -> None:
    code = "import sys; import pie_features.plugin as p; p.pie_components(); sys.exit('torch' in sys.modules)"
    paths = [path for path in sys.path if path]
    subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}; {code}"], check=True)
