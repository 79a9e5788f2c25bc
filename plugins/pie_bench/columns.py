"""The columns of a benchmark: what is measured on every picture, how it is written, and which way is better."""

from __future__ import annotations

from typing import NamedTuple

#: The folder of the true pictures, beside those of the methods.
TRUTH = "truth"


class Column(NamedTuple):
    """One number per picture.

    Attributes:
        name: as in the rows.
        title: as in tables.
        unit: "" where there is none.
        form: how a value is written, a format specification.
        higher: whether a higher value is better.
        what: one line that explains it.
    """

    name: str
    title: str
    unit: str
    form: str
    higher: bool
    what: str = ""

    @property
    def heading(self) -> str:
        """The title, the unit, and which way is better."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.title}{unit} {'↑' if self.higher else '↓'}"


_ALL = (
    Column("psnr", "PSNR", "dB", ".2f", True, "peak signal-to-noise ratio to the true picture"),
    Column("psnr_face", "PSNR face", "dB", ".2f", True, "the same over the face"),
    Column("psnr_background", "PSNR background", "dB", ".2f", True, "the same behind the person"),
    Column("ssim", "SSIM", "", ".3f", True, "structural similarity to the true picture"),
    Column("ssim_face", "SSIM face", "", ".3f", True, "the same over the face"),
    Column("ssim_background", "SSIM background", "", ".3f", True, "the same behind the person"),
    Column("perceptual", "perceptual", "", ".4f", False, "distance to the true picture in features of Φ"),
    Column("perceptual_face", "perceptual face", "", ".4f", False, "the same over the face"),
    Column("perceptual_background", "perceptual background", "", ".4f", False, "the same behind the person"),
    Column("identity", "identity", "", ".3f", True, "similarity of the embeddings Ψ to the true picture's"),
    Column("yaw_error", "yaw", "deg", ".2f", False, "judged yaw against the judged yaw of the true picture"),
    Column("pitch_error", "pitch", "deg", ".2f", False, "the same for the pitch"),
    Column(
        "landmark_px", "landmarks", "px", ".2f", False, "mean distance of the judged landmarks, at 128 px"
    ),
    Column("expression_px", "expression", "px", ".2f", False, "the same when only the expression may differ"),
    Column(
        "light_error", "light", "", ".3f", False, "relative error of the judged light's shading on a sphere"
    ),
)
#: What `measure` gives, by name, in this order.
COLUMNS: dict[str, Column] = {column.name: column for column in _ALL}

#: Of the embedding on the row of the reconstruction, of the edit on the others.
SECONDS = Column("seconds", "time", "s", ".2f", False, "per portrait embedded, or per edit")

#: Block -> the column that says how far the edit that was achieved is from the one that was asked for.
ASKED_ERROR = {"rotation": "yaw_error", "expression": "expression_px", "illumination": "light_error"}
