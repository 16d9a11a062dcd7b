"""Recipes on which a plan was once wrong, as the random search found them."""

from __future__ import annotations

from tests.engine.strategies import Recipe

FOUND = {
    # What stands after the last member is computed from the first one, which waited for it to be copied there.
    "a start made from what it would stand before": Recipe(
        structure="forest", seed=582, T=2, B=2, F=3, widths=(7, 4), states=(7, 7), delays=(1,),
        code=((6, 9, 14, 40), (31, 10, 51, 11), (22, 48, 40, 47), (17, 55, 34, 10), (7, 28, 23, 1)),
        ends=((12, 53, 27, 28), (35, 19, 57, 14), (6, 57, 48, 23)), outputs=1, inputs=("tokens",), initial=(3, 1),
        losses=((51, 19, 43, 21), (45, 43, 8, 8)), wanted=1, lengths=(4, 4, 2, 5, 2),
        parents=((59, 29, 37, 38), (12,)), memory=0, arity=2,
    ),
    # By height, sub and mean of one value run at different levels: the first of a level is not the first of all.
    "a first gradient at a lower level": Recipe(
        structure="free", seed=792, T=5, B=2, F=1, widths=(7, 6), states=(7, 7), delays=(1,),
        code=((52, 53, 59, 47), (42, 50, 12, 54), (59, 37, 27, 3)),
        ends=((57, 20, 16, 39), (9, 22, 34, 23), (6, 0, 29, 41), (43, 47, 53, 34)), outputs=2, inputs=("x", "mask"),
        initial=(1, 2), losses=((0, 45, 22, 8),), wanted=3, lengths=(3, 1, 1, 1),
        parents=((34, 35, 4, 38, 50), (5, 9, 40, 37), (37, 39, 38, 20, 30)), memory=0, arity=1,
    ),
    "a first gradient at a lower level, of a weight": Recipe(
        structure="free", seed=736, T=5, B=1, F=3, widths=(5, 6), states=(5,), delays=(1,),
        code=((0, 0, 46, 17), (15, 3, 57, 9), (5, 18, 39, 20), (58, 38, 36, 57), (54, 54, 30, 31), (2, 36, 40, 55)),
        ends=((48, 41, 36, 2), (9, 4, 36, 25), (40, 38, 29, 16)), outputs=2, inputs=("x", "tokens"), initial=(1,),
        losses=((53, 49, 11, 55), (32, 17, 29, 5)), wanted=5, lengths=(4, 4),
        parents=((27, 44, 12, 30, 48, 55, 16, 18), (11, 19, 39, 25)), memory=1, arity=1,
    ),
    # Two members of a level, of two threads, add to one state: one three steps after it, one by a list.
    "members of one level that add to one state": Recipe(
        structure="bidirectional", seed=360, T=9, B=4, F=1, widths=(6, 6), states=(6, 6), delays=(1, 3),
        code=((50, 53, 21, 15), (59, 18, 19, 50), (31, 29, 34, 47), (15, 15, 24, 31)),
        ends=((43, 13, 0, 55), (16, 19, 24, 34), (6, 19, 39, 7), (37, 24, 15, 1)), outputs=2, inputs=("x",),
        initial=(1, 0), losses=((21, 38, 23, 37), (46, 1, 42, 24), (35, 57, 25, 31)), wanted=0, lengths=(3, 4, 3, 1),
        parents=((19, 37, 43, 19, 9, 34),), memory=0, arity=2,
    ),
    # Slices of a tree's members, joined: more members were taken for more rows of what lies further apart.
    "parts of a level's rows": Recipe(
        structure="forest", seed=130, T=5, B=8, F=16, widths=(65, 8), states=(8,), delays=(1,), code=((9, 47, 27, 50),
        (57, 18, 22, 43), (6, 29, 41, 9), (37, 1, 44, 55)), ends=((28, 42, 26, 19), (10, 53, 25, 13)), outputs=1,
        inputs=("x",), initial=(3,), losses=((6, 26, 53, 47),), wanted=3, lengths=(2, 4, 1, 3), parents=((38, 47, 51,
        5), (15, 7, 47, 54, 41, 23, 32), (27, 1, 39), (13, 25, 37, 43, 44, 32, 8, 15)), memory=1, arity=1,
    ),
    # What a view shows was made a view only after it had been looked at: it showed a place that nobody writes.
    "views of views that come later": Recipe(
        structure="truncated", seed=344, T=12, B=4, F=4, widths=(3, 3), states=(3, 3), delays=(1,), code=((3, 12,
        48, 52), (35, 56, 36, 47)), ends=((25, 40, 47, 32), (3, 18, 58, 9), (54, 41, 52, 29), (42, 49, 30, 52)),
        outputs=2, inputs=("x", "x"), initial=(0, 1), losses=((6, 14, 0, 36), (31, 44, 30, 48), (31, 18, 4, 3)),
        wanted=5, lengths=(4,), parents=((35, 37, 30, 57, 21, 55, 11), (16, 10, 10, 43, 32, 36), (19, 49, 38, 41,
        30), (29,)), memory=2, arity=1,
    ),
    "views of views that come later, with tokens": Recipe(
        structure="truncated", seed=714, T=12, B=2, F=4, widths=(1, 2), states=(2, 2), delays=(1,), code=((16, 12,
        57, 14), (13, 59, 13, 58), (55, 2, 24, 31), (24, 1, 54, 8), (53, 23, 34, 5), (47, 44, 21, 14)), ends=((7, 8,
        18, 31), (0, 55, 20, 24), (54, 2, 55, 14), (30, 45, 7, 51)), outputs=2, inputs=("tokens",), initial=(0, 0),
        losses=((55, 53, 31, 58),), wanted=5, lengths=(6, 3, 4, 4, 2), parents=((29, 21, 18), (7,), (46,), (3, 42)),
        memory=1, arity=2,
    ),
}  # fmt: skip
