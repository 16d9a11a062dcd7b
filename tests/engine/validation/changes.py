"""Decisions of the planner made wrong, by pass: each changes the value that the pass has made in one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from tinyseq.engine.plan.reads import Delayed, Picked, Same
from tinyseq.engine.plan.steps import Loop, Seed, Work, Zero


def first(it: Any) -> Any:
    """The first of many."""
    return next(iter(it))


def set_(o: Any, **k: Any) -> None:
    """Change fields of a frozen value."""
    for a, v in k.items():
        object.__setattr__(o, a, v)


# fold
def swapped_nodes(f):
    c = first(c for c in f.classes if c.count > 1)
    c.nodes = c.nodes[::-1].copy()


def node_twice(f):
    a = first(c for c in f.classes if c.count > 1)
    a.nodes = a.nodes.copy()
    a.nodes[1] = a.nodes[0]


def other_source(f):
    r = first(r for c in f.classes for r in c.refs if isinstance(r, Same) and f.classes[r.source].count > 1)
    r.source = first(c.index for c in f.classes if c.count == f.classes[r.source].count and c.index != r.source)


def other_start(f):
    r = first(r for c in f.classes for r in c.refs if isinstance(r, Delayed))
    r.start = (first(c.index for c in f.classes if c.op == "parameter"), 0)


def no_start(f):
    r = first(r for c in f.classes for r in c.refs if isinstance(r, Delayed))
    r.start = None


def two_heights_as_one(f):
    g = first(g for g in f.groups if g.levels is not None and len(g.levels) > 3)
    g.levels = g.levels.copy()
    g.levels[-2] = g.levels[-3]


def inner_nodes_turned(f):
    """The members of a tree from the root down: what each reads is as on the tape, but runs after it."""
    g = first(g for g in f.groups if g.levels is not None and len(g.levels) > 3)
    turned = [c for c in f.classes if c.group is g]
    for c in turned:
        c.nodes, c.rows, c.args = (a[::-1].copy() for a in (c.nodes, c.rows, c.args))
    for r in (r for c in turned for r in c.refs if isinstance(r, Picked)):
        r.classes, r.numbers = r.classes[::-1].copy(), r.numbers[::-1].copy()
    inside = np.array([c.group is g for c in f.classes])
    every = [r for c in f.classes for r in c.refs if isinstance(r, Picked)]
    for r in [*every, *f.joins.values()]:
        r.numbers = np.where(inside[r.classes], g.count - 1 - r.numbers, r.numbers)


# rewrite
def wants_more(g):
    g.wants.add(first(i for i in sorted(g.needed) if i not in g.wants))


def swallowed_read(g):
    i = first(g.inside)
    g.consumers[i].append(g.consumers[i][0])


def term_twice(g):
    t = first(g.sums.values())
    t.append(t[0])


def reader_moved(g):
    i = first(i for i, r in g.consumers.items() if r)
    a, b = g.consumers[i][0]
    g.consumers[i][0] = (a, b + 1)


def inside_wrong(g):
    i = first(g.inside)
    g.inside[i] = first(i for i in g.needed if i not in g.sums)


def wants_fewer_top(g):
    g.wants.discard(g.loss_class.index)


# differentiate
def wrong_position(t):
    i = first(i for i, b in t.back.items() if b and b[0].kind in ("map", "call"))
    b = t.back[i][0]
    t.back[i] = (replace(b, position=b.position + 1), *t.back[i][1:])


def none_at_all(t):
    i = first(i for i, b in t.back.items() if b)
    t.back[i] = ()


def last_lost(t):
    i = first(i for i, b in t.back.items() if len(b) > 1)
    t.back[i] = t.back[i][:-1]


def product_lost(t):
    i = first(i for i, b in t.back.items() if any(x.kind == "product weight" for x in b))
    t.back[i] = tuple(x for x in t.back[i] if x.kind != "product weight")


def row_lost(t):
    i = first(i for i, b in t.back.items() if any(x.kind == "row sum" for x in b))
    t.back[i] = tuple(x for x in t.back[i] if x.kind != "row sum")


def value_twice(t):
    i = first(i for i, b in t.back.items() if any(x.kind in ("map", "value") for x in b))
    t.back[i] = t.back[i] + tuple(x for x in t.back[i] if x.kind in ("map", "value"))[:1]


def product_sides_swapped(t):
    other = {"product input": "product weight", "product weight": "product input"}
    i = first(i for i, b in t.back.items() if any(x.kind in other for x in b))
    t.back[i] = tuple(replace(x, kind=other.get(x.kind, x.kind)) for x in t.back[i])


# schedule
def regions(s, f):
    object.__setattr__(s, "regions", tuple(f(list(s.regions))))


def swap_first(s):
    regions(s, lambda r: _swap(r))


def _swap(r):
    k = first(k for k, x in enumerate(r) if x.recurrent and x.phase == "forward")
    r[k], r[k + 1] = r[k + 1], r[k]
    return r


def drop_last(s):
    regions(
        s,
        lambda r: [
            x
            for k, x in enumerate(r)
            if not (
                x.phase == "backward"
                and (x.now or x.deferred)
                and k == max(j for j, y in enumerate(r) if y.now or y.deferred)
            )
        ],
    )


def twice(s):
    regions(s, lambda r: [*r, first(x for x in r if x.now)])


def forward_twice(s):
    regions(s, lambda r: [r[-0], *r])


def back_swapped(s):
    def f(r):
        k = first(k for k, x in enumerate(r) if x.phase == "backward")
        r[k:] = r[k:][::-1]
        return r

    regions(s, f)


def hoist_all(s):
    x = first(x for x in s.regions if x.recurrent and x.phase == "forward")
    i = first(i for i in x.inner if x.inner[i])
    x.hoisted[i] = x.hoisted[i] + x.inner[i]
    x.inner[i] = ()


def hoist_lost(s):
    x = first(x for x in s.regions if x.phase == "forward" and any(x.hoisted.values()))
    i = first(i for i in x.hoisted if x.hoisted[i])
    x.hoisted[i] = x.hoisted[i][1:]


def term_both(s):
    x = first(x for x in s.regions if x.phase == "forward" and any(x.hoisted.values()))
    i = first(i for i in x.hoisted if x.hoisted[i])
    x.inner[i] = x.inner.get(i, ()) + x.hoisted[i][:1]


def defer_needed(s):
    x = first(x for x in s.regions if x.recurrent and x.phase == "backward")
    set_(x, deferred=x.deferred + x.now, now=())


def loop_in_forward_order(s):
    x = first(x for x in s.regions if x.recurrent and x.phase == "backward" and len(x.now) > 1)
    set_(x, now=x.now[::-1])


def lead_lost(s):
    i = first(s.leads)
    s.leads[i] = (0, 0)


# place
def lay(b, which, i, **k):
    getattr(b, which)[i] = replace(getattr(b, which)[i], **k)


def value_beyond(b):
    i = first(
        i
        for i in sorted(b.values)
        if b.values[i].storage.space == "arena" and b.graph.classes[i].count > 1 and not b.values[i].level
    )
    lay(b, "values", i, offset=b.values[i].offset + 10**6)


def value_before(b):
    i = first(i for i in sorted(b.values) if b.values[i].storage.space == "arena" and not b.values[i].level)
    lay(b, "values", i, offset=b.values[i].offset - 10**6)


def member_far(b):
    i = first(
        i for i in sorted(b.values) if b.graph.classes[i].count > 1 and not b.values[i].level and b.values[i].member
    )
    lay(b, "values", i, member=b.values[i].member * 3)


def gradient_beyond(b):
    i = first(i for i in sorted(b.gradients) if not b.gradients[i].level and b.graph.classes[i].count > 1)
    lay(b, "gradients", i, offset=10**6)


def gradient_member(b):
    i = first(i for i in sorted(b.gradients) if not b.gradients[i].level and b.graph.classes[i].count > 1)
    lay(b, "gradients", i, member=b.gradients[i].member * 2)


def no_place(b):
    del b.values[first(i for i in sorted(b.values) if i not in b.graph.inside)]


def shares_not(b):
    i = first(b.shared)
    lay(b, "gradients", i, offset=b.gradients[i].offset + 1)


def leaf_shared(b):
    own = [i for i in sorted(b.values) if b.values[i].storage.space == "leaf"]
    b.values[own[0]] = b.values[own[1]]


def row_far(b):
    i = first(
        i
        for i in sorted(b.values)
        if b.values[i].rows > 1 and not b.values[i].level and b.values[i].row and b.values[i].storage.space == "arena"
    )
    lay(b, "values", i, row=b.values[i].row * 50)


def lead_elsewhere(b):
    s = first(b.values[i].storage for i in b.leads)
    s.lead = 0


# write
def steps(w, f):
    object.__setattr__(w, "steps", tuple(f(list(w.steps))))


def works(w, back=True):
    for _k, s in enumerate(w.steps):
        for x in getattr(s, "work", (s,)):
            if isinstance(x, Work) and (x.back is not None) == back:
                yield x


def no_zero(w):
    k = first(k for k, s in enumerate(w.steps) if isinstance(s, Zero) and s.whole)
    steps(w, lambda s: s[:k] + s[k + 1 :])


def work_lost(w):
    k = first(k for k, s in enumerate(w.steps) if isinstance(s, Work) and s.back)
    steps(w, lambda s: s[:k] + s[k + 1 :])


def work_twice(w):
    k = first(k for k, s in enumerate(w.steps) if isinstance(s, Work) and s.back)
    steps(w, lambda s: s[: k + 1] + s[k:])


def term_overwrites(w):
    set_(first(x for x in works(w, False) if x.term is not None and x.adds), adds=False)


def term_adds(w):
    set_(first(x for x in works(w, False) if x.term is not None and not x.adds), adds=True)


def begin_lost(w):
    set_(first(x for x in works(w, False) if x.begin is not None), begin=None)


def term_lost(w):
    k = first(k for k, s in enumerate(w.steps) if isinstance(s, Work) and s.term is not None)
    steps(w, lambda s: s[:k] + s[k + 1 :])


def loop_overwrites(w):
    set_(
        first(x for s in w.steps if isinstance(s, Loop) and s.region.phase == "backward" for x in s.work if x.adds),
        adds=False,
    )


def loop_adds(w):
    set_(
        first(x for s in w.steps if isinstance(s, Loop) and s.region.phase == "backward" for x in s.work if not x.adds),
        adds=True,
    )


def loop_work_lost(w):
    loop = first(s for s in w.steps if isinstance(s, Loop) and s.region.phase == "backward")
    set_(loop, work=loop.work[1:])


def weight_overwrites(w):
    xs = [x for x in works(w) if x.kind == "product weight"]
    set_(xs[-1], adds=not xs[-1].adds)


def row_sum_flag(w):
    x = first(x for x in works(w) if x.kind == "row sum")
    set_(x, adds=not x.adds)


def seed_lost(w):
    steps(w, lambda s: [x for x in s if not isinstance(x, Seed)])


# emit
def ins(i):
    return [(b, x) for b in i.blocks for x in b.instructions]


def operand_moved(i):
    _b, x = first((b, x) for b, x in ins(i) if x.kernel.name == "gemm_packed")
    x.operands[1] = replace(x.operands[1], offset=x.operands[1].offset + 1)


def flag_flipped(i):
    _b, x = first((b, x) for b, x in ins(i) if x.kernel.name == "weight_gradient")
    x.d[4] ^= 1


def size_less(i):
    _b, x = first((b, x) for b, x in ins(i) if x.kernel.name == "gemm_packed")
    x.d[7] -= 1


def stride_more(i):
    _b, x = first((b, x) for b, x in ins(i) if x.kernel.name == "gemm_packed")
    x.d[2] += 1


def instruction_lost(i):
    b, x = first((b, x) for b, x in ins(i) if x.kernel.name.startswith("tanh"))
    b.instructions.remove(x)


def instruction_twice(i):
    b, x = first((b, x) for b, x in ins(i) if x.kernel.name == "column_sum" and x.d[3])
    b.instructions.append(x)


def backwards(i):
    b = first(b for b in i.blocks if b.recurrent)
    b.backwards = not b.backwards


def seed_two(i):
    s = first(s for s in i.storages if s.what == "one")
    s.data = s.data * 2


def operands_swapped(i):
    _b, x = first((b, x) for b, x in ins(i) if x.kernel.name == "weight_gradient")
    x.operands[1], x.operands[2] = x.operands[2], x.operands[1]


# reuse
def born_late(a):
    s = first(s for s in a.instructions.storages if s.space == "arena" and 0 <= s.first < s.last < 1 << 40)
    s.first = s.last


def same_base(a):
    ss = [s for s in a.instructions.storages if s.space == "arena" and s.last >= 0]
    x = first((p, q) for p in ss for q in ss if p is not q and p.first <= q.last and q.first <= p.last)
    x[0].base = x[1].base


def overlap(a):
    ss = sorted((s for s in a.instructions.storages if s.space == "arena" and s.last >= 0), key=lambda s: s.base)
    p, q = first((p, q) for p, q in pairwise(ss) if p.first <= q.last and q.first <= p.last and q.base > p.base)
    q.base = p.base + max(p.size - p.lead - 1, 0) + q.lead


def list_source_dies(a):
    last = {s.index: k for k, block in enumerate(a.blocks) for s in block.storages()}
    read = [(s, last[where.index]) for sources, where, *_ in a.instructions.pointers for s in sources]
    s = first(s for s, used in read if s.space == "arena" and last[s.index] < used <= s.last)
    s.last = last[s.index]


# share
def part_lost(s):
    set_(s, parts=s.parts[1:])


def parts_swapped(s):
    set_(s, parts=s.parts[::-1])


def rows_less(s):
    part = first(p for p in s.parts if p.way == "rows")
    set_(part, counts=part.counts - 1)


def rows_of_all(s):
    part = first(p for p in s.parts if p.way == "single" and p.blocks[0].recurrent)
    set_(part, way="rows", counts=np.full(part.blocks[0].levels, 8))


def members_of_all(s):
    apart = s.shares()[0].writes_members
    part = first(p for p in s.parts if p.way == "single" and p.blocks[0].bounds and not apart(p.blocks[0]))
    set_(part, way="members")


def rows_unsummed(s):
    sums = first(sums for p in s.parts for sums in p.sums)
    set_(sums, rows=sums.rows - 1)


def sum_lost(s):
    sums = first(sums for p in s.parts for sums in p.sums)
    set_(sums, of=sums.of[1:])


def dealt_in_turn(s):
    for p in s.parts:
        every = [i for b in p.blocks for i in b.instructions]
        read = {a.storage.index for i in every for a in i.operands[1:]}
        if p.way == "rows" and read & {i.operands[0].storage.index for i in every}:
            return set_(p, way="dealt")
    raise StopIteration


def way_unknown(s):
    set_(first(s.parts), way="columns")


def delay(folded: Any) -> None:
    ref = next(r for c in folded.classes for r in c.refs if isinstance(r, Delayed))
    ref.by -= 1


def other_input(folded: Any) -> None:
    cls = next(c for c in folded.classes if c.op == "mul")
    cls.refs[0], cls.refs[1] = cls.refs[1], cls.refs[0]


def unread(graph: Any) -> None:
    graph.consumers[next(i for i, readers in graph.consumers.items() if readers)].pop()


def lost_term(graph: Any) -> None:
    next(iter(graph.sums.values())).pop()


def lost_contribution(tasks: Any) -> None:
    i = next(i for i, back in tasks.back.items() if back)
    tasks.back[i] = tasks.back[i][1:]


def doubled_contribution(tasks: Any) -> None:
    i = next(i for i, back in tasks.back.items() if back)
    tasks.back[i] += tasks.back[i][:1]


def one_level_too_few(buffers: Any) -> None:
    kept = next(i for i in sorted(buffers.schedule.kept) if i in buffers.values and i not in buffers.views)
    buffers.values[kept] = replace(buffers.values[kept], level=True)


def two_in_one(buffers: Any) -> None:
    own = [i for i in sorted(buffers.values) if i not in buffers.views]
    buffers.values[own[-1]] = buffers.values[own[-2]]


def flipped(written: Any) -> None:
    for step in written.steps[written.backward :]:
        for work in getattr(step, "work", (step,)):
            if getattr(work, "back", None) is not None and not work.clear:
                object.__setattr__(work, "adds", not work.adds)
                return


def died_early(arena: Any) -> None:
    storage = next(s for s in arena.instructions.storages if s.space == "arena" and 0 <= s.first < s.last < 1 << 40)
    storage.last = storage.first


CHANGES: dict[str, list[Callable[[Any], None]]] = {
    "fold": [
        delay,
        other_input,
        swapped_nodes,
        node_twice,
        other_source,
        other_start,
        no_start,
        two_heights_as_one,
        inner_nodes_turned,
    ],
    "rewrite": [
        unread,
        lost_term,
        wants_more,
        swallowed_read,
        term_twice,
        reader_moved,
        inside_wrong,
        wants_fewer_top,
    ],
    "differentiate": [
        lost_contribution,
        doubled_contribution,
        wrong_position,
        none_at_all,
        last_lost,
        product_lost,
        row_lost,
        value_twice,
        product_sides_swapped,
    ],
    "schedule": [
        swap_first,
        drop_last,
        twice,
        forward_twice,
        back_swapped,
        hoist_all,
        hoist_lost,
        term_both,
        defer_needed,
        loop_in_forward_order,
        lead_lost,
    ],
    "place": [
        one_level_too_few,
        two_in_one,
        value_beyond,
        value_before,
        member_far,
        gradient_beyond,
        gradient_member,
        no_place,
        shares_not,
        leaf_shared,
        row_far,
        lead_elsewhere,
    ],
    "write": [
        flipped,
        no_zero,
        work_lost,
        work_twice,
        term_overwrites,
        term_adds,
        begin_lost,
        term_lost,
        loop_overwrites,
        loop_adds,
        loop_work_lost,
        weight_overwrites,
        row_sum_flag,
        seed_lost,
    ],
    "emit": [
        operand_moved,
        flag_flipped,
        size_less,
        stride_more,
        instruction_lost,
        instruction_twice,
        backwards,
        seed_two,
        operands_swapped,
    ],
    "reuse": [
        died_early,
        born_late,
        same_base,
        overlap,
    ],
    "share": [
        part_lost,
        parts_swapped,
        rows_less,
        rows_of_all,
        members_of_all,
        rows_unsummed,
        sum_lost,
        dealt_in_turn,
        way_unknown,
    ],
}
