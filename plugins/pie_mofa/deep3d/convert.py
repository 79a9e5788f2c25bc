"""Deep3DFaceRecon's checkpoint for `pie convert`: the network without the optimiser's state, a third of the size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pie_framework.api.converting import Conversion
from pie_framework.errors import AssetError
from pie_mofa.deep3d.network import KIND, NETWORK_KEY, load_network
from pie_weights.files import write_weights
from pie_weights.untrusted import read_any


def convert(path: Path, kind: str) -> Conversion | None:
    """The coefficient network of a torch file; None for other files.

    Raises:
        AssetError: it has the network's key, but does not fit.
    """
    if kind not in ("torch-zip", "torch-legacy"):
        return None
    try:
        content = read_any(path)
    except AssetError:
        return None  # refused: whoever knows the file, or `pie convert` itself, says why
    if not isinstance(content, Mapping) or NETWORK_KEY not in content:
        return None
    network = load_network(path)
    sizes = {name: network.sizes[name] for name in ("identity", "expression", "albedo")}

    def write(target: Path, half: bool) -> None:
        write_weights(target, KIND, sizes, network.state_dict(), {"source": path.name}, half=half)

    return Conversion(
        "Deep3DFaceRecon_pytorch",
        "ResNet-50 with seven heads",
        sum(tensor.numel() for tensor in network.state_dict().values()),
        "float32",
        write,
        "encoder=deep3d encoder.weights=",
        {name: f"{size} coefficients" for name, size in sizes.items()},
    )
