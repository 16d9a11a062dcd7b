"""Text as a task: a corpus that every Python carries, or a file of the user's; characters as numbers; windows of it."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinyseq.checks import plain
from tinyseq.errors import DataError, TinyseqError
from tinyseq.habits import advised

EMBEDDED = "Python's language reference"
FEW = 100
TYPEWRITTEN = {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "\u00a0": " ", "\t": " "}


@advised
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
                f"vocabulary of {len(self)} characters: {self._some()}.{self._nearest(text[at])}"
            )
        return self._order[place].astype(np.int64)

    def decode(self, tokens: np.ndarray) -> str:
        """The text that numbers stand for. Raises DataError for a number outside 0 … len − 1."""
        tokens = plain(tokens, "tokens", np.int64).reshape(-1)
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
        return f"Vocabulary({len(self)} characters: {self._some()})"

    def _some(self) -> str:
        """The first symbols, all where they are few."""
        return repr(self.symbols) if len(self) <= FEW else f"{self.symbols[:FEW]!r} …"

    def _nearest(self, character: str) -> str:
        """Advice: forms of a character that are known, where there are any."""
        plain = unicodedata.normalize("NFKD", character)
        forms = [unicodedata.normalize("NFKC", character), plain, "".join(c for c in plain if c.isalnum())]
        forms += [TYPEWRITTEN.get(character, ""), character.swapcase(), plain[:1].swapcase()]
        known = dict.fromkeys(form for form in forms if form and set(form) <= set(self.symbols))
        some = " or ".join(repr(form) for form in known)
        return f" It has {some}: write that instead" if some else " Leave it out, or train on a text that has it"


def _codepoints(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)


@advised
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


@advised
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


@advised
class Windows:
    """A text cut into B streams that run side by side, and these into windows of at most T steps.

    Iterating gives (x, y, fresh) without end: x and y (T, B), y one character ahead of x; ``fresh`` says that the
    streams start anew, so that no state may be carried over. ``windows[k]`` is the k-th of these.

    Every character but the first is a target in each epoch. Where lengths do not divide, a stream begins up to one
    character before the end of the one before, and some windows have one step or a few less than T, all nearly equal.
    """

    def __init__(self, tokens: np.ndarray, T: int, B: int) -> None:
        for name, size in (("window", T), ("batch", B)):
            if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
                raise TinyseqError(f"{name} must be a whole number of at least 1, got {size!r}")
        tokens = plain(tokens, "tokens")
        if tokens.ndim != 1 or (tokens.size and tokens.dtype.kind not in "iu"):
            raise DataError(
                "the text is one row of whole numbers (n,), as vocabulary.encode gives; "
                f"got {tokens.dtype} {tokens.shape}"
            )
        targets = len(tokens) - 1
        if targets // B < T:
            raise DataError(_too_short(len(tokens), T, B))
        self.T, self.B = int(T), int(B)
        self.content = fingerprint(tokens)
        length = -(-targets // self.B)
        starts = np.arange(self.B) * (targets - length) // max(self.B - 1, 1)
        places = starts + np.arange(length)[:, None]
        self.per_epoch = -(-length // self.T)
        self._x, self._y = tokens.astype(np.int64)[places], tokens.astype(np.int64)[places + 1]
        self._ends = -(-np.arange(1, self.per_epoch + 1) * length // self.per_epoch)

    def __getitem__(self, k: int) -> tuple[np.ndarray, np.ndarray, bool]:
        """The k-th window, from 0, of a reading that goes on epoch after epoch."""
        k %= self.per_epoch
        rows = slice(int(self._ends[k - 1]) if k else 0, int(self._ends[k]))
        return self._x[rows], self._y[rows], k == 0

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, bool]]:
        k = 0
        while True:
            yield self[k]
            k += 1

    @property
    def digest(self) -> str:
        """A fingerprint of the text and of how it is cut: equal for windows that give the same."""
        content = hashlib.blake2b(self._x.tobytes(), digest_size=16)
        content.update(self._y[-1].tobytes() + bytes(f"{self.T} {self.B}", "ascii"))
        return content.hexdigest()


def fingerprint(tokens: np.ndarray) -> str:
    """Equal for the same tokens in the same order."""
    return hashlib.blake2b(np.ascontiguousarray(tokens, np.int64).tobytes(), digest_size=16).hexdigest()


def _too_short(n: int, T: int, B: int) -> str:
    if n < 2:
        return f"there are {n} characters to train on; one to read and one to predict are the least"
    fits = (n - 1) // T
    hint = f"a batch of {fits}" if fits else f"a window of {n - 1} and a batch of 1"
    return (
        f"the text to train on has {n} characters, shorter than one window of {T} steps in a batch "
        f"of {B}: that needs {T} · {B} + 1 = {T * B + 1}.\nGive more text, or {hint}"
    )
