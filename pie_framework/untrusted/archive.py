"""The members of an uncompressed zip file, as torch.save writes it, without trusting what it says of itself.

Layout: APPNOTE.TXT of the zip format, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.14 to 4.3.16 (its end).
Imports no torch.
"""

from __future__ import annotations

import itertools
import struct

from .records import Limits, UntrustedFileError

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MAX32 = 0xFFFFFFFF


def members(data: memoryview, limits: Limits) -> dict[str, memoryview]:
    """Name -> bytes of every member.

    Raises:
        UntrustedFileError: the directory is damaged, lies about sizes, or a member is compressed or encrypted.
    """
    try:
        return _members(data, limits)
    except (struct.error, UnicodeDecodeError) as error:
        raise UntrustedFileError(f"its directory is damaged ({error})") from error


def _members(data: memoryview, limits: Limits) -> dict[str, memoryview]:
    count, size, start = _directory(data)
    if size > limits.header:
        raise UntrustedFileError(f"its directory has {size} bytes; at most {limits.header} are read")
    if start + size > len(data) or count * _ENTRY.size > size:
        raise UntrustedFileError("its directory does not lie within the file")
    found: dict[str, memoryview] = {}
    spans: list[tuple[int, int]] = []
    at = start
    for _ in range(count):
        fields = _ENTRY.unpack_from(data, at)
        if fields[0] != b"PK\x01\x02":
            raise UntrustedFileError("its directory is damaged")
        flags, method = fields[3], fields[4]
        packed, unpacked, offset = fields[8], fields[9], fields[16]
        name_at = at + _ENTRY.size
        extra_at = name_at + fields[10]
        name = bytes(data[name_at:extra_at]).decode("utf-8")
        extra = bytes(data[extra_at : extra_at + fields[11]])
        at = extra_at + fields[11] + fields[12]
        unpacked, packed, offset = _wide(extra, unpacked, packed, offset)
        if flags & 1:
            raise UntrustedFileError(f"its member '{name[:80]}' is encrypted")
        if method != 0 or packed != unpacked:
            raise UntrustedFileError(
                f"its member '{name[:80]}' is compressed ({packed} to {unpacked} bytes)",
                "torch.save never compresses; a file that does could unpack to any size.",
            )
        local = _LOCAL.unpack_from(data, offset) if offset < len(data) else (b"",)
        if local[0] != b"PK\x03\x04":
            raise UntrustedFileError(f"its member '{name[:80]}' is not where the directory says")
        begin = offset + _LOCAL.size + local[9] + local[10]
        if begin + unpacked > start:
            raise UntrustedFileError(f"its member '{name[:80]}' announces more bytes than there are")
        if name in found:
            raise UntrustedFileError(f"it has the member '{name[:80]}' twice")
        spans.append((offset, begin + unpacked))
        found[name] = data[begin : begin + unpacked]
    spans.sort()
    if any(after[0] < before[1] for before, after in itertools.pairwise(spans)):
        raise UntrustedFileError("its members overlap")
    return found


def _directory(data: memoryview) -> tuple[int, int, int]:
    """Number of entries, bytes and position of the directory."""
    tail_at = max(0, len(data) - (1 << 16) - _END.size)
    found = bytes(data[tail_at:]).rfind(b"PK\x05\x06")
    if found < 0:
        raise UntrustedFileError("it is cut off: the directory at its end is missing", "Fetch it again.")
    at = tail_at + found
    _, _, _, _, count, size, start, _ = _END.unpack_from(data, at)
    if at >= _LOCATOR.size and bytes(data[at - _LOCATOR.size : at - _LOCATOR.size + 4]) == b"PK\x06\x07":
        where = _LOCATOR.unpack_from(data, at - _LOCATOR.size)[2]
        if where + _END64.size > len(data):
            raise UntrustedFileError("its directory does not lie within the file")
        wide = _END64.unpack_from(data, where)
        if wide[0] != b"PK\x06\x06":
            raise UntrustedFileError("its directory is damaged")
        count, size, start = wide[7], wide[8], wide[9]
    return count, size, start


def _wide(extra: bytes, *values: int) -> list[int]:
    """Sizes and offset with those that stand in the 64-bit extra field."""
    at = 0
    wide = b""
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            wide = extra[at + 4 : at + 4 + length]
        at += 4 + length
    result = []
    for value in values:
        if value == _MAX32 and len(wide) >= 8:
            value, wide = int.from_bytes(wide[:8], "little"), wide[8:]
        result.append(value)
    return result
