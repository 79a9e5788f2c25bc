"""Scanline z-buffer rasteriser in plain torch, with differentiable interpolation.

Triangles are cut into rows of pixel centres, rows into pixels, and the nearest triangle of each pixel is
kept. Every step is vectorised over all triangles of the batch. A row's ends come from an edge's end points
sorted by y, so triangles that share an edge compute the same ends: a surface has no cracks and covers no
pixel twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from pie_framework.errors import InputError
from pie_framework.rendering._planar import batched_corners, cross, planar, take
from pie_framework.rendering.camera import image_size

_EMPTY = torch.iinfo(torch.int64).max
_LOW_BITS = (1 << 32) - 1
#: Rows and pixels of triangles in work at a time, which bounds the memory however much the triangles overlap.
ROWS_AT_ONCE, PIXELS_AT_ONCE = 1 << 21, 1 << 24


@dataclass(frozen=True)
class Fragments:
    """What each pixel sees.

    ``face_index`` (B, H, W) int64: the visible face, -1 where there is none. ``barycentric`` (B, H, W, 3):
    weights of that face's corners at the pixel's centre, summing to one; zero where there is none; no
    gradient. ``covered`` (N,) int64: the indices of the pixels that see a face, into the flattened (B, H,
    W), ascending.
    """

    face_index: Tensor
    barycentric: Tensor
    covered: Tensor

    @property
    def mask(self) -> Tensor:
        """(B, 1, H, W) in the barycentrics' dtype: 1 where a face is seen, else 0."""
        return (self.face_index >= 0).unsqueeze(1).to(self.barycentric.dtype)


def rasterise(
    vertices_pixels: Tensor,
    depth: Tensor,
    faces: Tensor,
    size: int | tuple[int, int],
    cull_backfaces: bool = True,
    perspective: bool = True,
) -> Fragments:
    """Find the nearest face at every pixel centre. Not differentiable; see ``interpolate``.

    ``vertices_pixels`` (B, V, 2) as (x, y) pixels, ``depth`` (B, V) growing away from the viewer, ``faces``
    (F, 3) int64 of fewer than 2^31 faces, ``size`` the side or (height, width) in pixels. Front faces run
    counter-clockwise as seen. With ``perspective``, depth is the positive distance along the view axis,
    visibility and barycentrics are perspective-correct, and faces with a corner at or behind the camera are
    dropped; without, both are affine. Of faces at the very same depth the lowest index is seen. Non-finite
    vertices drop their faces.
    """
    height, width = image_size(size)
    if (
        vertices_pixels.dim() != 3
        or vertices_pixels.shape[-1] != 2
        or depth.shape != vertices_pixels.shape[:2]
    ):
        raise InputError(
            f"vertices {tuple(vertices_pixels.shape)} and depth {tuple(depth.shape)} do not fit: "
            "give pixels (B, V, 2) and depth (B, V), as PerspectiveCamera.project returns them"
        )
    with torch.no_grad():
        pixels, depth = vertices_pixels.detach(), depth.detach()
        face_index = _visible_faces(pixels, depth, faces, height, width, cull_backfaces, perspective)
        covered = (face_index.view(-1) >= 0).nonzero().squeeze(-1)
        weights = _barycentric(face_index, covered, faces, pixels, depth if perspective else None)
        barycentric = weights.new_zeros(face_index.numel(), 3).index_copy_(0, covered, weights.t())
    return Fragments(face_index, barycentric.view(*face_index.shape, 3), covered)


def interpolate(
    fragments: Fragments,
    faces: Tensor,
    attributes: Tensor,
    vertices_pixels: Tensor | None = None,
    depth: Tensor | None = None,
) -> Tensor:
    """Interpolate vertex attributes (B or 1, V, C) at the visible pixels: (B, H, W, C), zero elsewhere.

    Differentiable in ``attributes``. Given ``vertices_pixels`` (B, V, 2), the barycentrics are computed
    again from them, affine, or perspective-correct if ``depth`` (B, V) is given too, so that gradients
    reach the vertices. The visibility itself stays fixed: no gradient comes from a silhouette that moves.
    """
    face_index, covered = fragments.face_index, fragments.covered
    if vertices_pixels is None:
        weights = fragments.barycentric.view(-1, 3)[covered].t().to(attributes.dtype)
    else:
        weights = _barycentric(face_index, covered, faces, vertices_pixels, depth)
    # Attributes shared by the batch need no offset per image.
    stride = attributes.shape[1] if attributes.shape[0] > 1 else 0
    values = take(planar(attributes), _corners(face_index, covered, faces, stride))
    mixed = (values * weights).sum(1)
    image = mixed.new_zeros(mixed.shape[0], face_index.numel()).index_copy(1, covered, mixed)
    return image.view(-1, *face_index.shape).permute(1, 2, 3, 0)


def _corners(face_index: Tensor, covered: Tensor, faces: Tensor, stride: int) -> Tensor:
    """Corner vertices (3, N) of each covered pixel's face, counted through images of ``stride`` vertices."""
    batch, height, width = face_index.shape
    corners = take(faces.t().contiguous(), face_index.view(-1)[covered])
    if batch == 1 or stride == 0:
        return corners
    return corners + torch.div(covered, height * width, rounding_mode="floor") * stride


def _barycentric(
    face_index: Tensor, covered: Tensor, faces: Tensor, vertices_pixels: Tensor, depth: Tensor | None
) -> Tensor:
    """Barycentric weights (3, N) at the covered pixels' centres, differentiable in vertices and depth."""
    _, height, width = face_index.shape
    corners = _corners(face_index, covered, faces, vertices_pixels.shape[1])
    within = covered % (height * width)
    row = torch.div(within, width, rounding_mode="floor")
    centre = torch.stack((within - row * width, row)).to(vertices_pixels.dtype) + 0.5
    x, y = (take(planar(vertices_pixels), corners) - centre.unsqueeze(1)).unbind(0)
    (x0, x1, x2), (y0, y1, y2) = x.unbind(0), y.unbind(0)
    areas = torch.stack((cross(x1, y1, x2, y2), cross(x2, y2, x0, y0), cross(x0, y0, x1, y1)))
    if depth is not None:
        areas = areas / take(depth.reshape(1, -1), corners).squeeze(0)
    return areas / areas.sum(0)


def _visible_faces(
    pixels: Tensor, depth: Tensor, faces: Tensor, height: int, width: int, cull: bool, perspective: bool
) -> Tensor:
    """The nearest face (B, H, W), -1 for none."""
    batch, count = depth.shape
    # Grows with depth and is affine in the image: under perspective, minus the inverse depth.
    order = (-1.0 / depth.float()) if perspective else depth.float()
    corners = batched_corners(faces, batch, count)
    kept, top, bottom, triangles = _triangles(
        planar(pixels.float()), order.view(1, -1), corners, height, width, cull, perspective
    )
    image = torch.div(kept, faces.shape[0], rounding_mode="floor") if batch > 1 else torch.zeros_like(kept)
    face = kept - image * faces.shape[0]
    key = torch.full((batch * height * width,), _EMPTY, dtype=torch.int64, device=depth.device)
    rows = bottom - top
    for part, total in _portions(rows, ROWS_AT_ONCE):
        line = image[part] * height + top[part]
        _scan(key, triangles[part], line, face[part], top[part], rows[part], total, width)
    return torch.where(key == _EMPTY, -1, key & _LOW_BITS).view(batch, height, width)


def _scan(
    key: Tensor,
    triangles: Tensor,
    line: Tensor,
    face: Tensor,
    top: Tensor,
    rows: Tensor,
    total: int,
    width: int,
) -> None:
    """Put triangles (K, 14) into ``key``, the smallest (depth, face) of each pixel of the whole batch so far.

    ``line``, ``face``, ``top``, ``rows`` (K,): first row counted through the batch, face, first row in the image, and
    how many rows; ``total`` is their sum.
    """
    # Triangles into rows of pixel centres.
    item, step = _expand(rows, total)
    row = top.index_select(0, item) + step
    data = triangles.index_select(0, item)
    along, short = _crossings(data, row + 0.5)
    first = _first_centre(torch.minimum(along, short), width)
    last = _first_centre(torch.maximum(along, short), width)
    filled = (last > first).nonzero().squeeze(-1)
    first, last, item, step, row, data = (
        v.index_select(0, filled) for v in (first, last, item, step, row, data)
    )
    x0, y0, z0, dzdx, dzdy, low, high = data[:, 7:].unbind(-1)
    start = z0 + dzdx * (first + 0.5 - x0) + dzdy * (row + 0.5 - y0)
    pixel = (line.index_select(0, item) + step) * width + first.long()
    face = face.index_select(0, item)
    counts = (last - first).long()

    # Rows into pixels; the smallest (depth, face) key wins. Clamped: a sliver's steep plane may overshoot.
    for part, total in _portions(counts, PIXELS_AT_ONCE):
        item, step = _expand(counts[part], total)
        sample = start[part].index_select(0, item) + dzdx[part].index_select(0, item) * step
        sample = torch.minimum(
            torch.maximum(sample, low[part].index_select(0, item)), high[part].index_select(0, item)
        )
        # The bits of a float, read as an integer, sort like the float once those of negative ones are flipped.
        bits = sample.view(torch.int32)
        sortable = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).long()
        target = pixel[part].index_select(0, item) + step
        key.scatter_reduce_(0, target, (sortable << 32) | face[part].index_select(0, item), "amin")


def _portions(counts: Tensor, limit: int) -> Iterator[tuple[slice, int]]:
    """Consecutive items whose counts add up to little more than ``limit``, and that sum; as a rule all at once."""
    if not counts.numel():
        return
    ends = counts.cumsum(0)
    total = int(ends[-1])
    if total <= limit:
        yield slice(None), total
        return
    portion = torch.div(ends - counts, limit, rounding_mode="floor")
    sizes = torch.unique_consecutive(portion, return_counts=True)[1].cumsum(0).tolist()
    sums = ends[[size - 1 for size in sizes]].tolist()
    for (first, last), (before, after) in zip(pairwise((0, *sizes)), pairwise((0, *sums)), strict=True):
        yield slice(first, last), after - before


def _triangles(
    table: Tensor, order: Tensor, corners: Tensor, height: int, width: int, cull: bool, perspective: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Triangles that may be seen: number, first row and end row (K,), and what scan conversion needs (K, 14).

    ``table`` (2, B * V) are the pixels, ``order`` (1, B * V) the depths to sort by, ``corners`` (3, B * F).
    """
    (x0, x1, x2), (y0, y1, y2) = take(table, corners)
    area = cross(x1 - x0, y1 - y0, x2 - x0, y2 - y0)
    top = _first_centre(torch.minimum(torch.minimum(y0, y1), y2), height)
    bottom = _first_centre(torch.maximum(torch.maximum(y0, y1), y2), height)
    left = _first_centre(torch.minimum(torch.minimum(x0, x1), x2), width)
    right = _first_centre(torch.maximum(torch.maximum(x0, x1), x2), width)
    # y points down, so counter-clockwise is a negative area. Comparisons drop what is not a number.
    kept = ((bottom > top) & (right > left) & ((area < 0) if cull else (area != 0))).nonzero().squeeze(-1)
    z = take(order, corners.index_select(1, kept)).squeeze(0)
    finite = z.isfinite()
    usable = (finite & (z < 0) if perspective else finite).all(0).nonzero().squeeze(-1)
    if usable.numel() < kept.numel():
        kept, z = kept.index_select(0, usable), z.index_select(1, usable)
    z0, z1, z2 = z.unbind(0)
    x0, x1, x2, y0, y1, y2, area, top, bottom = (
        v.index_select(0, kept) for v in (x0, x1, x2, y0, y1, y2, area, top, bottom)
    )
    dzdx = cross(z1 - z0, y1 - y0, z2 - z0, y2 - y0) / area
    dzdy = cross(x1 - x0, z1 - z0, x2 - x0, z2 - z0) / area
    low, high = z.amin(0), z.amax(0)
    edges = _edges_by_height(x0, x1, x2, y0, y1, y2)
    triangles = torch.stack((*edges, x0, y0, z0, dzdx, dzdy, low, high), dim=-1)
    return kept, top.long(), bottom.long(), triangles


def _expand(counts: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """For item i repeated counts[i] times, ``total`` in all: each repetition's item, its number within the item."""
    ends = counts.cumsum(0)
    item = torch.repeat_interleave(counts, output_size=total)
    return item, torch.arange(total, device=counts.device) - (ends - counts).index_select(0, item)


def _first_centre(position: Tensor, limit: int) -> Tensor:
    """Index, as a float in [0, limit], of the first pixel whose centre is at or beyond ``position``."""
    return torch.ceil(position - 0.5).clamp_(0, limit)


def _edges_by_height(
    x0: Tensor, x1: Tensor, x2: Tensor, y0: Tensor, y1: Tensor, y2: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Corners sorted by y as (x top, y top, x middle, y middle) and the slopes dx/dy of the three edges."""
    swap = y1 < y0
    x0, x1, y0, y1 = (torch.where(swap, b, a) for a, b in ((x0, x1), (x1, x0), (y0, y1), (y1, y0)))
    swap = y2 < y1
    x1, x2, y1, y2 = (torch.where(swap, b, a) for a, b in ((x1, x2), (x2, x1), (y1, y2), (y2, y1)))
    swap = y1 < y0
    x0, x1, y0, y1 = (torch.where(swap, b, a) for a, b in ((x0, x1), (x1, x0), (y0, y1), (y1, y0)))
    return x0, y0, x1, y1, (x2 - x0) / (y2 - y0), (x1 - x0) / (y1 - y0), (x2 - x1) / (y2 - y1)


def _crossings(data: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """x where the line at ``y`` crosses the edge of full height, and the one other edge that it meets."""
    x_top, y_top, x_middle, y_middle, full, upper, lower = data[:, :7].unbind(-1)
    above = y < y_middle
    along = x_top + (y - y_top) * full
    short = torch.where(above, x_top + (y - y_top) * upper, x_middle + (y - y_middle) * lower)
    return along, short
