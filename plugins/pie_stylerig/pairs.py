"""True edits to learn from: latents of portraits before and after a change of one block, with both θ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pie_framework.api import FaceEncoder, Generator, Inverter, Layout
from pie_framework.errors import ConfigError
from pie_stylerig.pool import draw_offsets, observe, shrink, to_bytes
from pie_training.readers import EditReader

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt8


@dataclass(frozen=True)
class Edits:
    """Portraits as the inverter sees them. N portraits, L layers, D latent width, P coefficients, s pixels.

    The first `held` portraits, and the edits between them, are for measuring.

    Attributes:
        latents: w.
        images: G(w).
        theta: as the face encoder reads them from G(w).
        known: true coefficients.
        portraits: the portraits themselves.
        rows: for each block its n edits: number of the portrait as it was, and with the block changed.
        held: number of portraits that are not trained on.
    """

    latents: Float[Tensor, "N L D"]
    images: UInt8[Tensor, "N 3 s s"]
    theta: Float[Tensor, "N P"]
    known: Float[Tensor, "N P"]
    portraits: UInt8[Tensor, "N 3 s s"]
    rows: Mapping[str, Int[Tensor, "_ 2"]]
    held: int

    def __len__(self) -> int:
        return len(self.latents)

    def chosen(self, block: str, held: bool) -> Int[Tensor, "_ 2"]:
        """The edits of a block that are measured, or those that are trained on."""
        rows = self.rows[block]
        return rows[(rows[:, 0] < self.held) == held]

    def draw(self, block: str, n: int, rng: torch.Generator) -> tuple[Int[Tensor, "{n}"], Int[Tensor, "{n}"]]:
        """n edits to train on, half of them backwards: numbers before and after."""
        rows = self.chosen(block, held=False)
        rows = rows[torch.randint(len(rows), (n,), generator=rng)]
        rows = torch.cat([rows[: n // 2].flip(1), rows[n // 2 :]])
        return rows[:, 0], rows[:, 1]

    def ask(
        self,
        layout: Layout,
        block: str,
        before: Int[Tensor, "n"],
        after: Int[Tensor, "n"],
        known: float,
        rng: torch.Generator,
    ) -> Float[Tensor, "n block"]:
        """θ^τ that asks for edits.

        Args:
            layout: of θ.
            block: τ.
            before: numbers of the portraits.
            after: numbers of the edited ones.
            known: share that is asked for in true coefficients: half of these by the true change, added to what is
                read from w, half by the true θ^τ. The others by what is read from the edited portrait's latent.
            rng: source of randomness.
        """
        read, true = (layout.get(values, block) for values in (self.theta, self.known))
        dice = torch.rand(len(before), 1, generator=rng).to(read)
        changed = read[before] + true[after] - true[before]
        return torch.where(dice < known / 2, changed, torch.where(dice < known, true[after], read[after]))

    def state_dict(self) -> dict[str, Any]:
        """For a training state."""
        return {**self.__dict__, "rows": dict(self.rows)}

    @classmethod
    def from_state(cls, state: dict[str, Any], like: Float[Tensor, "..."]) -> Edits:
        """What `state_dict` gave, with latents and coefficients in the dtype and on the device of `like`."""
        floats = {name: state[name].to(like) for name in ("latents", "theta", "known")}
        return cls(**{**state, **floats})


def which_edits(
    reader: EditReader, blocks: Sequence[str], count: int, held: int
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], dict[str, Int[Tensor, "_ 2"]], int]:
    """The portraits to read, those to be measured first.

    Args:
        reader: the portraits.
        blocks: their edits are read.
        count: edits of each block.
        held: portraits whose edits are for measuring.

    Returns:
        Indices of the portraits; for each block the edits as numbers within these; how many are held.

    Raises:
        ConfigError: a block has no more edits than are held.
    """
    found = {}
    for block in blocks:
        bases, edited = reader.edits(block)
        found[block] = np.stack([bases, edited], axis=1)[:count]
    apart = np.unique(np.concatenate([pairs[:, 0] for pairs in found.values()]))[:held]
    everything = np.unique(np.concatenate(list(found.values())))
    measured = {int(i) for pairs in found.values() for i in pairs[np.isin(pairs[:, 0], apart)].flatten()}
    first = np.array([i in measured for i in everything], dtype=bool)
    order = np.concatenate([everything[first], everything[~first]])
    number = {int(index): at for at, index in enumerate(order)}
    rows = {
        block: torch.tensor([[number[int(i)] for i in pair] for pair in pairs], dtype=torch.int64)
        for block, pairs in found.items()
    }
    for block, pairs in rows.items():
        if not len(pairs) or not (pairs[:, 0] >= len(measured)).any():
            raise ConfigError(
                f"the pairs hold {len(pairs)} true edits of '{block}', too few to train on",
                "Render more portraits with edits.",
            )
    return order, rows, len(measured)


@torch.no_grad()
def read_edits(
    reader: EditReader,
    blocks: Sequence[str],
    generator: Generator,
    encoder: FaceEncoder,
    inverter: Inverter,
    count: int,
    held: int,
    spread: float,
    offset: float,
    size: int,
    rng: torch.Generator,
    batch: int = 16,
) -> Edits:
    """Invert and observe true edits; a share of them a second time, away from where the inverter puts them.

    Args:
        reader: the portraits.
        blocks: whose edits are read.
        generator: G.
        encoder: reads G(w).
        inverter: guesses w.
        count: edits of each block.
        held: portraits whose edits are for measuring.
        spread: share of the portraits as they were that come again, their edits with them, moved layer by layer
            by one offset each, as W+ optimisation would.
        offset: size of that, see `draw_latents`.
        size: side in pixels of the images that are kept.
        rng: source of randomness.
        batch: portraits at a time.
    """
    order, rows, measured = which_edits(reader, blocks, count, held)
    like = generator.mean_latent()
    latents, portraits = [], []
    for part in np.array_split(order, max(1, len(order) // batch)):
        pixels = torch.from_numpy(reader.images(part)).to(like).permute(0, 3, 1, 2) / 127.5 - 1
        latents.append(inverter.invert(pixels).to(like))
        portraits.append(to_bytes(shrink(pixels, size)))
    w, shown = torch.cat(latents), torch.cat(portraits)
    known = torch.from_numpy(reader.theta(order)).to(like)
    bases = torch.unique(torch.cat([pairs[:, 0] for pairs in rows.values()]))
    bases = bases[bases >= measured]
    again = bases[torch.randperm(len(bases), generator=rng)[: round(spread * len(bases))]]
    if len(again) and offset > 0:
        moves = draw_offsets(w[bases], len(again), offset, rng)
        source, shift, rows = _copies(rows, again, moves, len(w))
        w = torch.cat([w, w[source] + shift])
        known, shown = torch.cat([known, known[source]]), torch.cat([shown, shown[source]])
    images, theta = observe(generator, encoder, w, size, batch)
    return Edits(w, images, theta, known, shown, rows, measured)


def _copies(
    rows: Mapping[str, Int[Tensor, "_ 2"]], again: Int[Tensor, "N"], moves: Float[Tensor, "N L D"], count: int
) -> tuple[Int[Tensor, "C"], Float[Tensor, "C L D"], dict[str, Int[Tensor, "_ 2"]]]:
    """The edits of some portraits a second time, all latents of a portrait moved alike.

    Args:
        rows: of each block, numbers of the latents before and after.
        again: numbers of the portraits that come again.
        moves: how far each of them is moved.
        count: of the latents there are; the copies follow them.

    Returns:
        Numbers of the C latents that are copied, by how much each is moved, and the rows with those of the copies.
    """
    copies: list[tuple[str, Tensor, Tensor]] = []
    numbers: dict[int, int] = {}
    for block, pairs in rows.items():
        own = pairs[torch.isin(pairs[:, 0], again)]
        for number in own.flatten().tolist():
            numbers.setdefault(number, count + len(numbers))
        new = torch.tensor([[numbers[i] for i in pair] for pair in own.tolist()]).reshape(-1, 2)
        copies.append((block, new, own))
    move_of = {int(base): at for at, base in enumerate(again)}
    base_of = {i: pair[0] for _, _, own in copies for pair in own.tolist() for i in pair}
    shift = moves[torch.tensor([move_of[base_of[i]] for i in numbers])]
    return (
        torch.tensor(list(numbers)),
        shift,
        {block: torch.cat([rows[block], new]) for block, new, _ in copies},
    )
