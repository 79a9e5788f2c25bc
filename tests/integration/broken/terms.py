"""Broken energy terms."""

from __future__ import annotations

from tests.integration.broken.world import HEADER, RUN, Case

DECLARED = """
@hookimpl
def pie_components():
    return [Component(Kind.ENERGY, "odd", "odd.term:Term", requires=frozenset({requires}), api_version=(1, 1))]
"""

TERM = """
import torch

from odd import state


class Term:
    def __init__(self, config, context):
        pass

    def energy(self, view, target):
        state.calls += 1
        fine = view.latent.square().mean(dim=(1, 2))
        {body}
"""

WITH_TERM = (*RUN, "+terms.odd={term: odd, weight: 1}")


def term(
    fault: str,
    body: str,
    said: str,
    kept: str = "failed",
    status: int = 1,
    requires: str = "set()",
    words: tuple[str, ...] = (),
) -> Case:
    """A term whose method ends with `body`."""
    return Case(
        "energy",
        fault,
        {
            "odd/plugin.py": HEADER + DECLARED.replace("{requires}", requires),
            "odd/state.py": "calls = 0\n",
            "odd/term.py": TERM.replace("{body}", body),
        },
        (*WITH_TERM, *words),
        status,
        said,
        kept,
    )


def module(fault: str, text: str, said: str, kept: str = "", status: int = 1) -> Case:
    """A term whose module is `text`."""
    files = {"odd/plugin.py": HEADER + DECLARED.replace("{requires}", "set()"), "odd/term.py": text}
    return Case("energy", fault, files, WITH_TERM, status, said, kept)


def settings(fault: str, check: str, said: str, status: int) -> Case:
    """A term whose dataclass of settings ends with `check`."""
    declared = (
        "\n\n@dataclass(frozen=True)\nclass Settings:\n    strength: float = 1.0\n\n"
        f"    def __post_init__(self):\n        {check}\n"
        + DECLARED.replace("{requires}", "set()").replace(
            "odd.term:Term", 'odd.term:Term", config=Settings, summary="'
        )
    )
    text = TERM.replace("{body}", "return fine")
    files = {"odd/plugin.py": HEADER + declared, "odd/state.py": "calls = 0\n", "odd/term.py": text}
    return Case("energy", fault, files, WITH_TERM, status, said)


WHO = "the energy term 'odd' of odd-dist 1.0"
MANY = "\n        "

CASES = [
    settings(
        "has settings that fail",
        "1 / 0",
        "the energy 'odd' of odd-dist 1.0: the settings Settings cannot be made: ZeroDivisionError",
        1,
    ),
    settings(
        "has settings that exit",
        "raise SystemExit(0)",
        "the settings Settings cannot be made: it exits (0)",
        1,
    ),
    settings(
        "has settings that refuse a value",
        "raise ValueError('strength is too small')",
        "terms.odd.options: strength is too small",
        2,
    ),
    term(
        "raises at once", "raise KeyError('gone')", f"{WHO} failed: KeyError: 'gone' (at step 1 of stage 'w')"
    ),
    term(
        "raises at step 6",
        f"if state.calls == 6:{MANY}    raise ArithmeticError('late'){MANY}return fine",
        "ArithmeticError: late (at step 6 of stage 'w')",
    ),
    term("exits the process", "raise SystemExit(3)", f"{WHO} failed: it exits (3)"),
    term("gives a float", "return 1.5", f"{WHO} is float, not a tensor with one value per portrait, (1,)"),
    term("gives nothing", "fine + 1", f"{WHO} is NoneType"),
    term("gives a list", "return [fine]", f"{WHO} is list"),
    term("gives a NumPy array", "return fine.detach().numpy()", f"{WHO} is ndarray"),
    term("gives a scalar", "return fine.sum()", f"{WHO} has the shape ()"),
    term(
        "gives a column",
        "return fine[:, None]",
        f"{WHO} has the shape (1, 1), not one value per portrait, (1,)",
    ),
    term("gives twice the batch", "return torch.cat([fine, fine])", f"{WHO} has the shape (2,)"),
    term("gives an image", "return view.image - target.image", f"{WHO} has the shape (1, 3, 16, 16)"),
    term("gives another dtype", "return fine.double()", f"{WHO} is torch.float64"),
    term("gives integers", "return fine.long()", f"{WHO} is torch.int64"),
    term("gives no parts", "return {}", f"{WHO} gave no part"),
    term("gives numbered parts", "return {0: fine}", f"{WHO} gave a part called 0"),
    term("gives parts called like paths", "return {'../x': fine}", f"{WHO} gave a part called '../x'"),
    term("gives parts with dots", "return {'a.b': fine}", f"{WHO} gave a part called 'a.b'"),
    term("gives a nameless part", "return {'': fine}", f"{WHO} gave a part called ''"),
    term("gives a part that is a number", "return {'a': 1}", f"the part 'a' of {WHO} is int"),
    term(
        "gives other parts at each step",
        "return {f'p{state.calls}': fine}",
        f"{WHO} gave the parts 'p2', before 'p1'",
    ),
    term("blackens the portrait", f"target.image.zero_(){MANY}return fine", f"{WHO} changed target.image"),
    term(
        "blackens the image by .data",
        f"view.image.data.add_(1){MANY}return fine",
        f"{WHO} changed view.image",
    ),
    term(
        "moves the latent by .data",
        f"view.latent.data[:, 0].add_(1){MANY}return fine",
        f"{WHO} changed view.latent",
    ),
    term(
        "changes the generator",
        f"view.networks.generator.mixing.mul_(1.1){MANY}return fine",
        f"{WHO} changed weights of the component 'generator'",
    ),
    term("has no gradient", "return fine.detach()", "", "finished", 0),
    term(
        "is NaN", "return fine * float('nan')", "the energy term 'odd' is not finite at step 1", "non-finite"
    ),
    term(
        "is NaN at step 6",
        "return fine * (float('nan') if state.calls == 6 else 1)",
        "the energy term 'odd' is not finite at step 6 of stage 'w'",
        "non-finite",
    ),
    term(
        "is infinite",
        "return fine + float('inf')",
        "the energy term 'odd' is not finite at step 1",
        "non-finite",
    ),
    term(
        "has a NaN gradient (the root of 0)",
        "return fine + (0 * view.latent).square().sum(dim=(1, 2)).sqrt()",
        "the gradient of the energy term 'odd' is not finite at step 1 of stage 'w'",
        "non-finite",
    ),
    term(
        "changes a tensor that its gradient needs",
        f"root = fine.exp(){MANY}root.mul_(2){MANY}return root",
        f"the gradient of {WHO} cannot be computed",
    ),
    term(
        "asks for what it does not require",
        "return view.rigged('rotation').sum(dim=(1, 2))",
        f"{WHO}: a term asked for a component that is not composed: rig (for the block 'rotation')",
        requires="{'encoder'}",
        words=("edit=none",),
    ),
    term(
        "asks for an unknown role",
        "return view.features('depth')",
        f"{WHO}: a term asked for a component that is not composed: features (in the role 'depth')",
    ),
    term(
        "requires what is no kind",
        "return fine",
        "requires 'depth_map', which is not what a run can choose",
        "",
        2,
        "{'depth_map'}",
    ),
    term(
        "requires a role that is not composed", "return fine", "the role 'depth'", "", 2, "{'features.depth'}"
    ),
    module("has no method", "class Term:\n    def __init__(self, config, context): pass\n", "has no energy"),
    module(
        "has a method with another signature",
        "class Term:\n    def __init__(self, config, context): pass\n    def energy(self, view): return 1\n",
        f"{WHO} failed: TypeError",
        "failed",
    ),
    module(
        "has a constructor with another signature",
        "class Term:\n    def __init__(self): pass\n",
        "cannot be built: TypeError",
    ),
    module(
        "raises when built",
        "def Term(config, context):\n    return {}['key']\n",
        "cannot be built: KeyError: 'key'",
    ),
    module(
        "exits when built",
        "def Term(config, context):\n    raise SystemExit(4)\n",
        "cannot be built: it exits (4)",
    ),
    module(
        "is None", "def Term(config, context):\n    return None\n", "is no EnergyTerm: NoneType has no energy"
    ),
    module(
        "has a module that cannot be imported",
        "import not_there\n",
        "cannot be loaded from 'odd.term:Term': ModuleNotFoundError",
    ),
    module(
        "has a module with a syntax error",
        "class Term(:\n",
        "cannot be loaded from 'odd.term:Term'",
    ),
    module(
        "has a module that raises",
        "raise RuntimeError('at import')\n",
        "RuntimeError: at import",
    ),
    module("is not in its module", "x = 1\n", "cannot be loaded from 'odd.term:Term'"),
]
