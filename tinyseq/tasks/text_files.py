"""A user's text file, read; and where it is not UTF-8, which command makes it so."""

from __future__ import annotations

import shlex
import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from pathlib import Path

from tinyseq.errors import DataError, FileError
from tinyseq.habits import advised

BEGINNING, SHORT = 1 << 16, 8  # bytes to look at; bytes too few to tell anything
FEW, MANY = 0.01, 0.4  # parts of a text's bytes


@advised
def read_text(path: str | Path) -> str:
    """A user's text: UTF-8, with or without byte-order mark, any line ends.

    Raises FileError where the file is missing or unreadable, DataError where it is empty, binary or not UTF-8, with the
    command that makes it UTF-8.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise FileError(f"no such text file: {path}") from None
    except IsADirectoryError:
        raise FileError(f"{path} is a folder; give a text file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise FileError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    if b"\0" in raw and not _wide_mark(raw):
        raise DataError(_of_nul(path, raw))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text: byte {error.start} is 0x{raw[error.start]:02x}.\n{_other_encoding(path, raw)}"
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text:
        raise DataError(f"{path} is empty; a corpus needs characters")
    return text


def _wide_mark(raw: bytes) -> str:
    """The encoding that a byte-order mark of 16 or 32 bits tells, or ''."""
    if raw.startswith((BOM_UTF32_LE, BOM_UTF32_BE)):
        return "utf-32"
    return "utf-16" if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else ""


def _of_nul(path: Path, raw: bytes) -> str:
    """What to say of a file with a byte 0 in it: wide characters, stray NULs in a text, or no text."""
    at, wide = raw.index(0), _wide(raw[:BEGINNING])
    if not wide and len(raw) > SHORT and raw.count(0) <= 1 + FEW * len(raw) and _is_text(raw):
        line, column = _place(raw, at)
        return (
            f"{path} is text with {raw.count(0)} NUL in it, the first in line {line}, column {column}: byte {at} is "
            f"0x00.\nTo leave them out: tr -d '\\000' < {_quoted(path)} > utf8.txt"
        )
    what = f"{path} is not text but binary: byte {at} is 0x00.\n"
    if wide:
        return f"{what}It looks like text in {wide.upper()}; convert it first: {_iconv(path, wide)}"
    return f"{what}Give a text file: UTF-8, which has no such byte"


def _is_text(raw: bytes) -> bool:
    """Whether bytes without their NULs are UTF-8 with few control characters."""
    try:
        text = raw.replace(b"\0", b"").decode("utf-8")
    except UnicodeDecodeError:
        return False
    return sum(c < " " and c not in "\t\n\r\f" for c in text) <= FEW * len(text)


def _wide(raw: bytes) -> str:
    """Which of UTF-16 and UTF-32, without a mark, has its zeros where these bytes have theirs; '' where none."""
    for name, zeros, letters in (("utf-32le", (2, 3), 0), ("utf-32be", (0, 1), 3)):
        if len(raw) >= SHORT and not any(any(raw[k::4]) for k in zeros) and any(raw[letters::4]):
            return name
    for order, first in (("little", 1), ("big", 0)):
        high, low = raw[first::2], raw[1 - first :: 2]
        if high and high.count(0) > 0.5 * len(high) and low.count(0) <= FEW * len(low):
            return "utf-16" if order == sys.byteorder else f"utf-16{order[0]}e"  # without a mark it is the machine's
    return ""


def _other_encoding(path: Path, raw: bytes) -> str:
    """What a file that is not UTF-8 may be, and the command that makes it UTF-8."""
    if mark := _wide_mark(raw):
        return f"It begins as text in {mark.upper()} does; convert it first: {_iconv(path, mark)}"
    at, text = _first_wrong(raw), raw.decode("utf-8", "replace")
    wrong = text.count("\ufffd") - raw.count("\ufffd".encode())
    if wrong <= FEW * len(text) + 1 and any(c > "\x7f" and c != "\ufffd" for c in text):
        line, column = _place(raw, at)
        return (
            f"The rest is UTF-8: {wrong} damaged place{'s' * (wrong > 1)}, the first in line {line}, column {column}. "
            f"To leave them out: iconv -c -f utf-8 -t utf-8 {_quoted(path)} > utf8.txt"
        )
    readings = _readings(raw, at)
    if not readings:
        return "In no usual encoding is it text; give a text file"
    encoding, here = next(iter(readings.items()))
    others = "".join(f"\n  {name:<9} {there!r}" for name, there in readings.items())
    return (
        f"Read as {encoding} it says {here!r} there. If that is right, convert it first: {_iconv(path, encoding)}"
        + (f"\nIf not, put the encoding that is right in place of it:{others}" if len(readings) > 1 else "")
    )


def _readings(raw: bytes, at: int) -> dict[str, str]:
    """What stands around a byte in the encodings in which the whole is text, the likeliest first."""
    western = "cp1252" if any(0x80 <= byte <= 0x9F for byte in set(raw)) else "latin1"
    names = [western, "cp1251", "koi8-r"]
    if sum(byte > 0x7F for byte in raw) > MANY * len(raw):  # hardly the accents of a western text
        names = ["shift_jis", "euc_jp", "euc_kr", "gb18030", "cp1251", "koi8-r", western]
    found: dict[str, str] = {}
    for name in names:
        try:
            text = raw.decode(name)
        except UnicodeDecodeError:
            continue
        middle = len(raw[:at].decode(name, "replace"))
        there = " ".join(text[max(middle - 12, 0) : middle + 12].split())
        if there not in found.values():
            found[name] = there
    return found


def _first_wrong(raw: bytes) -> int:
    """The first byte that UTF-8 does not have there."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _place(raw: bytes, at: int) -> tuple[int, int]:
    """Line and column, from 1, of a byte, with lines and characters as UTF-8 has them."""
    before = raw[:at]
    return before.count(b"\n") + 1, len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1


def _iconv(path: Path, encoding: str) -> str:
    return f"iconv -f {encoding} -t utf-8 {_quoted(path)} > utf8.txt"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
