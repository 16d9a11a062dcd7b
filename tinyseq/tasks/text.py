"""Text as a task: a corpus that every Python carries, or a file of the user's; characters as numbers; windows of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyseq.errors import DataError, FileError, TinyseqError

EMBEDDED = "Python's language reference"


class Vocabulary:
    """The characters a model knows, numbered in the order of ``symbols``."""

    def __init__(self, symbols: str) -> None:
        if not isinstance(symbols, str) or not symbols:
            raise DataError(f"a vocabulary is a text of at least one character, got {symbols!r}")
        self.symbols = symbols
        codes = _codepoints(symbols)
        self._order = np.argsort(codes, kind="stable")
        self._sorted = codes[self._order]
        twice = np.flatnonzero(self._sorted[1:] == self._sorted[:-1])
        if len(twice):
            raise DataError(f"the vocabulary has {chr(self._sorted[twice[0]])!r} twice; each character once")

    @classmethod
    def of(cls, text: str) -> Vocabulary:
        """The characters of a text, in the order of Unicode."""
        return cls("".join(sorted(set(text))))

    def encode(self, text: str) -> np.ndarray:
        """Numbers of a text's characters, (n,) int64. Raises DataError at the first one that is unknown."""
        codes = _codepoints(text)
        place = np.minimum(np.searchsorted(self._sorted, codes), len(self._sorted) - 1)
        wrong = np.flatnonzero(self._sorted[place] != codes)
        if len(wrong):
            at = int(wrong[0])
            line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
            raise DataError(
                f"character {text[at]!r} (U+{ord(text[at]):04X}) at line {line}, column {column} is not in the "
                f"vocabulary of {len(self)} characters: {self.symbols!r}"
            )
        return self._order[place].astype(np.int64)

    def decode(self, tokens: np.ndarray) -> str:
        """The text that numbers stand for. Raises DataError for a number outside 0 … len − 1."""
        tokens = np.asarray(tokens, np.int64).reshape(-1)
        wrong = tokens[(tokens < 0) | (tokens >= len(self))]
        if len(wrong):
            raise DataError(f"token {wrong[0]} is not in the vocabulary: tokens are 0 to {len(self) - 1}")
        return "".join(self.symbols[t] for t in tokens.tolist())

    def __len__(self) -> int:
        return len(self.symbols)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.symbols == other.symbols

    def __hash__(self) -> int:
        return hash(self.symbols)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} characters: {self.symbols!r})"


def _codepoints(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)


def embedded_text() -> str:
    """The language reference that Python carries for ``help()``: about 370,000 characters of English.

    Source: ``pydoc_data.topics`` of the running Python, so the text differs a little between Python versions. Topics
    come in the order of their names; of paragraphs that several topics share only the first is kept, so that no
    held-out text has been trained on.
    """
    from pydoc_data.topics import topics

    seen: set[str] = set()
    kept = []
    for name in sorted(topics):
        for paragraph in topics[name].split("\n\n"):
            words = " ".join(paragraph.split())
            if words not in seen:
                seen.add(words)
                kept.append(paragraph)
    return "\n\n".join(kept)


def read_text(path: str | Path) -> str:
    """A user's text: UTF-8, with or without byte-order mark, any line ends.

    Raises FileError where the file is missing or unreadable, DataError where it is empty, binary or not UTF-8.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise FileError(f"no such text file: {path}") from None
    except IsADirectoryError:
        raise FileError(f"{path} is a folder; give a text file") from None
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from None
    utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    if b"\0" in raw and not utf16:
        raise DataError(
            f"{path} is not text but binary: byte {raw.index(0)} is 0x00.\n"
            f"If it is text in UTF-16, convert it first: iconv -f utf-16 -t utf-8 {path}"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        other = "utf-16" if utf16 else "latin1"
        raise DataError(
            f"{path} is not UTF-8 text: byte {error.start} is 0x{raw[error.start]:02x}.\n"
            f"If it is text in another encoding, convert it first, for instance: iconv -f {other} -t utf-8 {path}"
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text:
        raise DataError(f"{path} is empty; a corpus needs characters")
    return text


@dataclass(frozen=True)
class Corpus:
    """A text as numbers, cut in two: the beginning to train on, the end held out."""

    name: str
    vocabulary: Vocabulary
    train: np.ndarray
    held_out: np.ndarray

    @classmethod
    def of(cls, text: str, name: str, held_out: float = 0.1, vocabulary: Vocabulary | None = None) -> Corpus:
        """Hold out the last part of a text. The vocabulary is the whole text's unless one is given."""
        if not 0 < held_out < 1:
            raise TinyseqError(f"the held-out part must be above 0 and below 1, got {held_out!r}; a tenth is 0.1")
        vocabulary = vocabulary or Vocabulary.of(text)
        tokens = vocabulary.encode(text)
        cut = len(tokens) - round(len(tokens) * held_out)
        if not 0 < cut < len(tokens):
            count = f"{len(tokens)} character{'' if len(tokens) == 1 else 's'}"
            raise DataError(f"{name} has {count}: too few to hold out {held_out:.0%} and train on the rest")
        return cls(name, vocabulary, tokens[:cut], tokens[cut:])


class Windows:
    """A text cut into B streams that run side by side, and these into windows of T steps.

    Iterating gives (x, y, fresh) without end: x and y (T, B), y one character ahead of x; ``fresh`` says that the
    streams start anew, so that no state may be carried over. Less than one window at the end of a stream is left out.
    """

    def __init__(self, tokens: np.ndarray, T: int, B: int) -> None:
        for name, size in (("window", T), ("batch", B)):
            if not isinstance(size, (int, np.integer)) or size < 1:
                raise TinyseqError(f"{name} must be a whole number of at least 1, got {size!r}")
        length = (len(tokens) - 1) // B
        if length < T:
            fits = max((len(tokens) - 1) // T, 0)
            hint = f"a batch of {fits}" if fits else f"a window of {max(len(tokens) - 1, 0)} and a batch of 1"
            raise DataError(
                f"the text to train on has {len(tokens)} characters, shorter than one window of {T} steps in a batch "
                f"of {B}: that needs {T} · {B} + 1 = {T * B + 1}.\nGive more text, or {hint}"
                if len(tokens) > 1
                else f"there are {len(tokens)} characters to train on; one to read and one to predict are the least"
            )
        self.T, self.B = int(T), int(B)
        self.per_epoch = length // T
        used = length * B
        self._x = np.asarray(tokens[:used], np.int64).reshape(B, length).T
        self._y = np.asarray(tokens[1 : used + 1], np.int64).reshape(B, length).T

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, bool]]:
        while True:
            for k in range(self.per_epoch):
                rows = slice(k * self.T, (k + 1) * self.T)
                yield self._x[rows], self._y[rows], k == 0
