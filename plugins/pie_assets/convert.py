"""`pie convert IN OUT.safetensors`: turns a foreign checkpoint into a safetensors file, once and for all."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pie_framework.api import Kind
from pie_framework.arguments import Parser
from pie_framework.assets import resolve
from pie_framework.composition import backbone
from pie_framework.errors import AssetError, ConfigError, PluginError
from pie_framework.plugins import Registry, boundary, discover

if TYPE_CHECKING:
    from pie_framework.api.converting import Conversion

DESCRIPTION = """\
Turns a checkpoint of another program into a safetensors file, which opens faster and holds nothing but numbers.
What IN is shows its content, not its name; nothing of it is run. IN may be an address such as asset://NAME."""

SWITCHES = {
    "half": "half=true stores float16 instead of float32: half the size, images differ by less than a grey level",
    "force": "force=true writes over OUT if it is there",
}
SUFFIX = ".safetensors"


def main(arguments: Sequence[str]) -> int:
    """Returns 0; whatever goes wrong is a PieError and leaves no file."""
    parser = Parser(
        "pie convert", description=DESCRIPTION, usage="pie convert IN OUT [half=true] [force=true]"
    )
    parser.add_argument("IN", help="the checkpoint")
    parser.add_argument("OUT", type=Path, help=f"the file to write, {SUFFIX}")
    for name, text in SWITCHES.items():
        parser.add_switch(name, text)
    if not arguments or {"-h", "--help"} & set(arguments):
        known = (f"  {name:<14}{component.summary}" for name, component in discover().named(Kind.CONVERTER))
        print("\n".join([parser.format_help(), "converters:", *known]))
        return 0
    given = parser.parse(arguments, list(SWITCHES))
    source, target = resolve(given.IN), given.OUT.expanduser()
    _check_target(source, target, force=given.force)
    conversion = find(source, discover())
    conversion.write(target, given.half)
    print(describe(conversion, source, target, half=given.half))
    return 0


def find(source: Path, registry: Registry) -> Conversion:
    """The checkpoint, read by the first converter that knows it; one that fails is told of on the error stream.

    Raises:
        AssetError: no converter knows the file, or it cannot be used.
    """
    from pie_weights.untrusted import sniff

    kind = sniff(source)
    components = registry.named(Kind.CONVERTER)
    for _, component in components:
        try:
            read = boundary.load(registry, component)
            conversion: Conversion | None = boundary.call(registry, component, "failed", read, source, kind)
        except PluginError as error:
            print(f"pie: warning: {error}", file=sys.stderr)
            continue
        if conversion is not None:
            return conversion
    if kind == "unknown":
        from pie_weights.untrusted import read_any

        read_any(source)
    known = ", ".join(name for name, _ in components) or "none"
    raise AssetError(f"'{source}' is a {kind} file that no converter knows", f"Converters: {known}.")


def describe(conversion: Conversion, source: Path, target: Path, *, half: bool) -> str:
    """What was found and written, in lines."""
    rows = {
        "read": f"{source} ({_size(source)})",
        "format": conversion.format,
        "network": conversion.architecture,
        **conversion.facts,
        "parameters": f"{conversion.parameters:,}",
        "numbers": f"{conversion.dtype}, written as {'float16' if half else 'float32'}",
        "wrote": f"{target} ({_size(target)})",
    }
    if conversion.use:
        rows["use"] = backbone.command(f"{conversion.use}{target}")
    return "\n".join(f"{name:<12}{value}" for name, value in rows.items())


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


def _check_target(source: Path, target: Path, *, force: bool) -> None:
    if target.suffix != SUFFIX:
        raise ConfigError(f"'{target}' does not end in {SUFFIX}", f"Write pie convert IN OUT{SUFFIX}.")
    if target.is_dir():
        raise ConfigError(f"'{target}' is a folder", "Give the name of the file to write.")
    if target.exists() and target.resolve() == source.resolve():
        raise ConfigError(f"'{target}' is the file to read", "Give another name for the result.")
    if target.exists() and not force:
        raise ConfigError(
            f"'{target}' is already there", "Give another name, or force=true to write over it."
        )
