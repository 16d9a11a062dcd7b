"""Spans of elements that lie one after the other, and their pieces: what all who touch one element of touch whole.

Between two neighbouring ends of spans all elements are alike, so that whatever holds of the first of a piece holds of
each: a row of 64 that is always read and written as a row is one piece, and nothing is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOST = 1 << 20
WINDOW = 256  # elements that are followed, or left, together


@dataclass(frozen=True)
class Spans:
    """The elements from each ``first`` up to each ``last``, which is not one of them."""

    first: np.ndarray
    last: np.ndarray

    @staticmethod
    def of(elements: np.ndarray) -> Spans:
        """The spans that these elements make up, each element once, in order."""
        places = elements.reshape(-1)
        steps = places[1:] - places[:-1]
        if (steps <= 0).any():
            places = distinct(places)
            steps = places[1:] - places[:-1]
        breaks = (steps != 1).nonzero()[0]
        first = np.empty(len(breaks) + 1, np.int64)
        last = np.empty(len(breaks) + 1, np.int64)
        first[0], last[-1] = places[0], places[-1] + 1
        first[1:], last[:-1] = places[breaks + 1], places[breaks] + 1
        return Spans(first, last)

    def at(self, begins: np.ndarray) -> Spans:
        """These spans, counted from each of these places."""
        return Spans((begins[:, None] + self.first).reshape(-1), (begins[:, None] + self.last).reshape(-1))

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, chosen: np.ndarray) -> Spans:
        return Spans(self.first[chosen], self.last[chosen])

    def cut(self, bounds: np.ndarray) -> tuple[np.ndarray, Spans]:
        """(which span, its pieces) where spans are cut at each of the bounds, which are in order."""
        low = np.searchsorted(bounds, self.first, side="right")
        count = np.searchsorted(bounds, self.last, side="left") - low + 1
        which = np.repeat(np.arange(len(count)), count)
        within = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
        if not len(bounds):
            return which, self
        after = low[which] + within  # the number of the bound behind a piece
        first = np.where(within == 0, self.first[which], bounds[np.maximum(after - 1, 0)])
        ends = within == count[which] - 1
        last = np.where(ends, self.last[which], bounds[np.minimum(after, len(bounds) - 1)])
        return which, Spans(first, last)


def bounds_of(spans: list[Spans]) -> np.ndarray:
    """Where spans begin or end, in order."""
    return np.unique(np.concatenate([ends for s in spans for ends in (s.first, s.last)] or [np.zeros(0, np.int64)]))


def followed(spans: Spans, one_in: int) -> tuple[np.ndarray, Spans]:
    """(which span, what of it is followed) where only one in so many windows is, spread evenly: an element is followed
    by all that touch it or by none."""
    if one_in == 1 or not len(spans):
        return np.arange(len(spans)), spans
    windows = np.arange(int(spans.first.min()) // WINDOW, int(spans.last.max()) // WINDOW + 1) * WINDOW
    which, pieces = spans.cut(windows)
    with np.errstate(over="ignore"):
        stirred = ((pieces.first // WINDOW).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    kept = (stirred & np.uint64(one_in - 1)) == 0
    return which[kept], pieces[kept]


def distinct(places: np.ndarray) -> np.ndarray:
    """Each place once, in order. They lie close, so that marking them beats sorting."""
    low, high = int(places.min()), int(places.max())
    if high - low > 64 * places.size:
        return np.unique(places)
    there = np.zeros(high - low + 1, bool)
    there[places - low] = True
    return np.flatnonzero(there) + low
