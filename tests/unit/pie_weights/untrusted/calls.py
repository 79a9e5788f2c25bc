"""Files that ask for code: every instruction of pickle that could reach a function, and every place to hide one."""

from __future__ import annotations

from tests.unit.pie_weights.untrusted import assembly as asm
from tests.unit.pie_weights.untrusted.kinds import ADA, Evil


def code(command: str) -> str:
    """Python source that runs the command."""
    return f"__import__('os').system({command!r})"


def system(command: str) -> bytes:
    return asm.call(asm.glob("os", "system"), asm.text(command))


CALLS = [
    Evil("os.system through REDUCE", lambda c: asm.whole(system(c)), "asks for 'os.system'"),
    Evil(
        "posix.system, protocol 0",
        lambda c: f"cposix\nsystem\n(S{c!r}\ntR.".encode(),
        "asks for 'posix.system'",
    ),
    Evil(
        "GLOBAL builtins.eval",
        lambda c: asm.whole(asm.call(asm.glob("builtins", "eval"), asm.text(code(c)))),
        "asks for 'builtins.eval'",
    ),
    Evil(
        "GLOBAL __builtin__.exec, Python 2's name",
        lambda c: asm.whole(asm.call(asm.glob("__builtin__", "exec"), asm.text(code(c)))),
        "asks for '__builtin__.exec'",
    ),
    Evil(
        "STACK_GLOBAL with names from the memo",
        lambda c: asm.whole(
            asm.text("system") + b"q\x00" + b"0" + asm.text("os") + b"q\x01" + b"0",
            b"h\x01h\x00\x93" + asm.tuple_of(asm.text(c)) + asm.REDUCE,
        ),
        "asks for 'os.system'",
    ),
    Evil(
        "STACK_GLOBAL with a dotted name",
        lambda c: asm.whole(
            asm.call(asm.stack_global("collections", "OrderedDict.__class__.__base__.__subclasses__"))
        ),
        "asks for 'collections.OrderedDict.__class__",
    ),
    Evil(
        "STACK_GLOBAL that cuts an allowed name elsewhere",
        lambda c: asm.whole(asm.stack_global("torch", "_utils._rebuild_tensor_v2")),
        "asks for 'torch._utils._rebuild_tensor_v2'",
    ),
    Evil(
        "STACK_GLOBAL whose name clears the terminal",
        lambda c: asm.whole(asm.stack_global("os", "\x1b[2J\nsystem")),
        "asks for 'os.\ufffd\\[2J\ufffdsystem'",
    ),
    Evil(
        "STACK_GLOBAL with a list as a name",
        lambda c: asm.whole(asm.text("os") + b"]" + b"\x93"),
        "STACK_GLOBAL requires str",
    ),
    Evil(
        "builtins.getattr to climb from an allowed class",
        lambda c: asm.whole(
            asm.call(asm.glob("builtins", "getattr"), asm.glob("collections", "OrderedDict"), asm.text("x"))
        ),
        "asks for 'builtins.getattr'",
    ),
    Evil(
        "calling a value instead of a name",
        lambda c: asm.whole(asm.text("os.system") + asm.tuple_of(asm.text(c)) + asm.REDUCE),
        "calls a value of type str",
    ),
    Evil(
        "copyreg._reconstructor of a class of its own",
        lambda c: asm.whole(
            asm.call(
                asm.glob("copyreg", "_reconstructor"),
                asm.glob("subprocess", "Popen"),
                asm.glob("builtins", "object"),
                b"N",
            )
        ),
        "asks for 'subprocess.Popen'",
    ),
    Evil(
        "INST", lambda c: asm.whole(b"(" + asm.text(c) + b"ios\nsystem\n"), "instruction that makes objects"
    ),
    Evil("OBJ", lambda c: asm.whole(b"(" + b"N" + asm.text(c) + b"o"), "instruction that makes objects"),
    Evil(
        "NEWOBJ of subprocess.Popen",
        lambda c: asm.whole(asm.glob("subprocess", "Popen") + asm.tuple_of(asm.text(c)) + b"\x81"),
        "asks for 'subprocess.Popen'",
    ),
    Evil(
        "NEWOBJ_EX with keywords",
        lambda c: asm.whole(
            asm.glob("collections", "OrderedDict"),
            b")" + b"}" + asm.text("shell") + b"\x88" + b"s" + b"\x92",
        ),
        "instruction that makes objects",
    ),
    Evil(
        "BUILD that sets __setstate__ on a class",
        lambda c: asm.whole(
            asm.glob("collections", "OrderedDict"),
            b"}" + asm.text("__setstate__") + asm.glob("builtins", "object") + b"sb",
        ),
        "changes 'collections.OrderedDict', which cannot",
    ),
    Evil(
        "BUILD with slots that names os.system",
        lambda c: asm.whole(
            asm.call(asm.glob("collections", "OrderedDict")),
            asm.tuple_of(b"N", b"}" + asm.text("__class__") + asm.glob("os", "system") + b"s") + b"b",
        ),
        "asks for 'os.system'",
    ),
    Evil("the extension registry, EXT1", lambda c: asm.whole(b"\x82\x01"), "reaches outside"),
    Evil("a persistent id in a plain pickle", lambda c: asm.whole(asm.text("x") + b"Q"), "persistent id"),
    Evil("a buffer from outside, NEXT_BUFFER", lambda c: asm.proto(5) + b"\x97.", "reaches outside"),
    Evil(
        "an evil pickle in a storage's bytes",
        lambda c: asm.whole(asm.tensor(asm.storage(asm.whole(system(c))), (1,))),
        "not written by torch.save",
    ),
    Evil(
        "a torch file with an evil pickle in a storage's bytes",
        lambda c: asm.whole(asm.tensor(asm.storage(asm.legacy_with(asm.whole(system(c)))), (1,))),
        "asks for 'os.system'",
    ),
    Evil(
        "storages within storages",
        lambda c: asm.whole(
            asm.storage(asm.legacy_with(asm.whole(asm.storage(asm.legacy_with(asm.whole(system(c)))))))
        ),
        "file within a file",
    ),
    Evil(
        "a legacy torch file with an evil pickle",
        lambda c: asm.legacy_with(asm.whole(system(c))),
        "asks for 'os.system'",
    ),
    Evil(
        "a torch zip with an evil data.pkl",
        lambda c: asm.torch_zip(asm.whole(system(c))),
        "asks for 'os.system'",
    ),
    Evil(
        "a torch zip that calls numpy's or torch's own loaders",
        lambda c: asm.torch_zip(asm.whole(asm.call(asm.glob("torch.serialization", "load"), asm.text("x")))),
        "asks for 'torch.serialization.load'",
    ),
    Evil(
        "a TorchScript archive (a program)",
        lambda c: asm.torch_zip(asm.whole(b"}"), {"code/__torch__.py": code(c).encode()}),
        "TorchScript",
    ),
    Evil(
        "the class of a TensorFlow network",
        lambda c: asm.whole(
            asm.glob("dnnlib.tflib.network", "Network")
            + b")"
            + b"\x81"
            + b"}"
            + asm.text("build_module_src")
            + asm.text(code(c))
            + b"sb"
        ),
        "TensorFlow network",
    ),
    Evil(
        "a NumPy array of pickled objects",
        lambda c: asm.whole(asm.array("O8", (1,), b"]" + asm.text(c) + b"a")),
        "array of Python objects",
    ),
    Evil("code in module_src of a good file", lambda c: module_source(c), None),
]


def module_source(command: str) -> bytes:
    """A golden file with code in place of the source that it carries."""
    evil = code(command) + "\n"
    return asm.replaced(
        ADA.read_bytes(),
        lambda op, value: asm.text(evil) if value == "# module source left out\n" else None,
    )
