"""Places in the arena, against the same rule in plain lists, and that none who live at the same time share a place."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tinyseq.engine.plan.first_fit import allocate
from tinyseq.engine.plan.layout import FOREVER, Storage

lives = st.tuples(
    st.integers(0, 9), st.one_of(st.integers(0, 6), st.just(FOREVER)), st.integers(0, 90), st.integers(0, 20)
)


def _storages(given: list[tuple[int, int, int, int]]) -> list[Storage]:
    """Storages by their first block, how many blocks more they live, size and lead."""
    made = []
    for i, (first, more, size, lead) in enumerate(given):
        storage = Storage(i, size + lead, lead, "arena", -1, "")
        storage.first, storage.last = first, min(first + more, FOREVER)
        made.append(storage)
    return made


def _plainly(storages: list[Storage], alignment: int) -> tuple[list[int], int, int]:
    """Where each lies, the top and the sum: free places are what no living one covers."""
    placed: list[tuple[Storage, int, int]] = []
    found, top, total = {}, 0, 0
    for s in sorted(storages, key=lambda s: (s.first, -s.size)):
        lead = -(-s.lead // alignment) * alignment
        size = lead + -(-max(s.size - s.lead, 1) // alignment) * alignment
        living = sorted((at, end) for other, at, end in placed if other.last >= s.first)
        start = end = 0
        for at, its_end in [*living, (top, top)]:
            if at - end >= size:
                break
            end = max(end, its_end)
        else:
            end = top
        start = end
        top, total = max(top, start + size), total + size
        placed.append((s, start, start + size))
        found[s.index] = start + lead
    return [found[s.index] for s in storages], top, total


@given(st.lists(lives, max_size=30), st.sampled_from([1, 4, 16]))
@settings(deadline=None, max_examples=400)
def test_places_are_those_of_first_fit(given: list[tuple[int, int, int, int]], alignment: int) -> None:
    storages = _storages(given)
    top, total = allocate(storages, alignment)
    assert ([s.base for s in storages], top, total) == _plainly(storages, alignment)
    for i, one in enumerate(storages):
        for other in storages[:i]:
            if max(one.first, other.first) <= min(one.last, other.last):
                low, high = sorted((one, other), key=lambda s: s.base)
                assert low.base + max(low.size - low.lead, 1) <= high.base - high.lead


def test_those_elsewhere_or_never_read_have_no_place() -> None:
    storages = _storages([(0, 1, 8, 0)] * 3)
    storages[0].space, storages[1].last = "leaf", -1
    storages[0].base = storages[1].base = 77
    assert allocate(storages, 8) == (8, 8)
    assert [s.base for s in storages] == [77, 77, 0]
