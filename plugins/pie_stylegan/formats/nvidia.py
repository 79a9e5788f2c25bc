"""Network pickles of NVIDIA's stylegan2-ada-pytorch and stylegan3 repositories, as plain data.

Such a file pickles whole modules: for each one the source text of its class (`module_src`), the class name, and the
attributes. The source is skipped; names, numbers and tensors of the module tree are all that is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from pie_weights.untrusted import Allowed, PathLike, Record, UntrustedFileError, read_any

PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
#: Networks of a snapshot, the best first.
NETWORKS = ("G_ema", "G")
MAX_MODULES = 20_000
#: Numbers of an array among init arguments; larger ones are left out.
MAX_ARRAY = 64


@dataclass
class NvidiaNetwork:
    """A network of a pickle.

    Attributes:
        class_name: of the outermost module, such as "Generator".
        init_args, init_kwargs: what it was made with; plain values.
        state: parameters and buffers by their full names, such as "synthesis.b4.const" (views of the mapped file).
        attributes: the plain attributes (numbers, texts, flags and lists of them) of every module, by its full name,
            "" for the outermost; with "class_name" and the module's own "init_args" and "init_kwargs".
        key: the name it has in the file, "" for a bare network.
    """

    class_name: str
    init_args: tuple[Any, ...]
    init_kwargs: dict[str, Any]
    state: dict[str, Tensor] = field(default_factory=dict)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    key: str = ""

    @property
    def generation(self) -> int:
        """3 for a StyleGAN3 generator, 2 for a StyleGAN2 one, 0 for anything else."""
        if "synthesis.input.weight" in self.state and "synthesis.input.freqs" in self.state:
            return 3
        return 2 if "synthesis.b4.conv1.weight" in self.state else 0


def _tensorflow(args: tuple[Any, ...]) -> Any:
    raise UntrustedFileError(
        "it holds a TensorFlow network of the first StyleGAN repositories",
        "Convert it with 'legacy.py --source --dest' of NVIDIA's stylegan3 repository, and use what that writes.",
    )


def _easy_dict(args: tuple[Any, ...]) -> Any:
    return args[0] if args and isinstance(args[0], dict) else {}


ALLOWED: Allowed = {
    PERSISTENT: None,
    "dnnlib.util.EasyDict": _easy_dict,
    "dnnlib.EasyDict": _easy_dict,
    "dnnlib.tflib.network.Network": _tensorflow,
    "torch.nn.modules.container.ModuleList": None,
    "torch.nn.modules.container.ModuleDict": None,
    "torch.nn.modules.container.Sequential": None,
    "torch.nn.modules.linear.Identity": None,
}


def read_network(path: PathLike) -> NvidiaNetwork:
    """The generator of a pickle: `G_ema` of a snapshot, else `G`, else the pickled network itself.

    Raises:
        UntrustedFileError: it is no such file, or asks for anything but data.
    """
    content = read_any(path, allow=ALLOWED)
    key, record = "", content
    if isinstance(content, dict):
        found = next((k for k in NETWORKS if isinstance(content.get(k), Record)), None)
        if found is None:
            names = ", ".join(repr(str(k)[:30]) for k in list(content)[:6]) or "nothing"
            raise UntrustedFileError(
                f"'{path}' holds no generator under {' or '.join(NETWORKS)} (it has {names})",
                "Use the network snapshot (network-snapshot-*.pkl or the published .pkl).",
            )
        key, record = found, content[found]
    try:
        network = _network(record)
    except UntrustedFileError as error:
        raise UntrustedFileError(f"'{path}' was not loaded: {error.message}", error.hint) from error
    network.key = key
    return network


def _network(record: Any) -> NvidiaNetwork:
    name, state = _module(record)
    network = NvidiaNetwork(
        name,
        tuple(_plain(state.get("_init_args", ())) or ()),
        dict(_plain(state.get("_init_kwargs", {})) or {}),
    )
    pending: list[tuple[str, Any]] = [("", record)]
    while pending:
        path, current = pending.pop()
        class_name, state = _module(current)
        if len(network.attributes) >= MAX_MODULES or path in network.attributes:
            raise UntrustedFileError("its module tree is damaged: too many modules, or one twice")
        network.attributes[path] = {
            **{k: _plain(v) for k, v in state.items() if not k.startswith("_") and _is_plain(v)},
            "class_name": class_name,
            "init_args": _plain(state.get("_init_args", ())),
            "init_kwargs": _plain(state.get("_init_kwargs", {})),
        }
        prefix = f"{path}." if path else ""
        for group in ("_parameters", "_buffers"):
            for name, tensor in _table(state, group).items():
                if tensor is None:
                    continue
                if not isinstance(tensor, Tensor):
                    raise UntrustedFileError(f"'{prefix}{name}' in it is not a tensor")
                network.state[prefix + name] = tensor
        children = _table(state, "_modules")
        pending.extend((prefix + name, child) for name, child in children.items() if child is not None)
    return network


def _module(record: Any) -> tuple[str, dict[str, Any]]:
    """Class name and attributes of a pickled module."""
    if isinstance(record, Record):
        name: Any = record.name
        state: Any = record.state
        if record.name == PERSISTENT:
            meta = record.args[0] if len(record.args) == 1 else None
            if not isinstance(meta, dict) or meta.get("type") != "class":
                raise UntrustedFileError("a module in it is not described as one")
            name, state = meta.get("class_name"), meta.get("state")
        if isinstance(name, str) and isinstance(state, dict):
            return name, {k: v for k, v in state.items() if isinstance(k, str)}
    raise UntrustedFileError("it holds something else where a network belongs")


def _table(state: dict[str, Any], group: str) -> dict[str, Any]:
    found = state.get(group) or {}
    if not isinstance(found, dict) or not all(isinstance(k, str) and "." not in k for k in found):
        raise UntrustedFileError(f"a module's {group} are damaged")
    return found


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= 4096 and all(_is_plain(v) for v in value)
    return value is None or isinstance(value, bool | int | float | str)


def _plain(value: Any) -> Any:
    """Plain values of init arguments: dictionaries, lists, numbers, texts, arrays as lists; others are left out."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(v) for v in value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.tolist() if isinstance(value, np.ndarray) and value.size <= MAX_ARRAY else None
