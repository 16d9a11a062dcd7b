"""Recursive nets, section 10.6 and figure 10.14: a balanced tree makes the way from the root to a leaf short.

python examples/recursive_net.py           # about 10 s
python examples/recursive_net.py --long    # also a Tree-LSTM on small ListOps, some minutes
"""

from __future__ import annotations

import math
import time

import numpy as np
from common import Clock, options

import tinyseq as ts
from tinyseq import viz
from tinyseq.tasks.trees import LISTOPS_VOCABULARY, listops, random_tree
from tinyseq.train import Adam, clip_global_norm


def paths() -> None:
    """Depth of the tree and of the chain over the same leaves, and how much gradient reaches the furthest leaf."""
    print(
        "To show: over τ leaves a balanced tree has depth ⌈log₂ τ⌉ where a chain has τ − 1, and the gradient that the"
    )
    print("root sends to the furthest leaf shrinks with the depth. The same net and the same leaves for both.\n")
    rng = np.random.default_rng(0)
    net = ts.nn.RecursiveNet(8, 32, 2, rng=rng, dtype=np.float64)
    print(f"{'τ':>6} {'⌈log₂ τ⌉':>9} {'tree depth':>11} {'chain depth':>12}   ‖∂L/∂leaf‖ / ‖∂L/∂root‖: tree, chain")
    for leaves in (4, 10, 32, 100, 317, 1000):
        x, y = rng.normal(size=(leaves, 8)), np.array([1])
        depths, ratios = [], []
        for tree in (ts.Tree.balanced(leaves), ts.Tree.chain(leaves)):
            with ts.Tape():
                unfolded = net.unfold(tree, x)
                ts.cross_entropy(net.c + ts.linear(unfolded.root, net.V_o), y).backward()
                furthest = unfolded.state(int(np.argmax(tree.depths[:leaves])))
                ratios.append(math.hypot(*furthest.grad[0]) / math.hypot(*unfolded.root.grad[0]))  # never underflows
            depths.append(tree.depth)
        print(
            f"{leaves:>6} {math.ceil(math.log2(leaves)):>9} {depths[0]:>11} {depths[1]:>12}"
            f"   {ratios[0]:>24.1e}, {ratios[1]:.1e}"
        )


def parity(steps: int) -> None:
    """Learn the parity of up to eight bits exactly, then apply the net to other and larger trees."""
    print(
        "\nTo show: the net learns how two parts combine, not one shape. Trained on the parity of all strings of 1, 2,"
    )
    print("3, 4 and 8 bits over balanced trees, it is tested on shapes and sizes it has never seen (chance is 50%).\n")
    rng = np.random.default_rng(1)
    net = ts.nn.RecursiveNet(2, 16, 2, rng=rng)
    adam = Adam(net.parameters(), rate=0.01)
    problems = []
    for n in (1, 2, 3, 4, 8):
        bits = (np.arange(2**n) >> np.arange(n)[:, None]) & 1  # every string of n bits is a column
        problems.append((ts.Tree.balanced(n), bits, bits.sum(axis=0) % 2))
    start = time.perf_counter()
    for step in range(steps):
        with ts.Tape():
            losses = [net.loss(tree, bits, y) for tree, bits, y in problems]
            loss = ts.mean(ts.stack(losses))
            loss.backward()
            if step % (steps // 5) == 0:
                print(f"  step {step:4}: mean loss {loss.item():.5f}{'' if step else ', about ln 2: it knows nothing'}")
        adam.step()
    print(f"  {steps} steps in {time.perf_counter() - start:.1f} s")
    shapes = {
        "random tree, 8 leaves": random_tree(8, rng),
        "random tree, 100 leaves": random_tree(100, rng),
        "chain of 100 leaves": ts.Tree.chain(100),
        "balanced tree, 1000 leaves": ts.Tree.balanced(1000),
    }
    for name, tree in shapes.items():
        bits = rng.integers(0, 2, (tree.n_leaves, 500))
        with ts.Tape():
            right = net.output(tree, bits).value.argmax(axis=1) == bits.sum(axis=0) % 2
        print(f"  over a {name:<27} {100 * right.mean():6.1f}% of 500")


def small_listops(steps: int, tests: int = 1000) -> None:
    """A Tree-LSTM on ListOps of depth up to 4 with 2 or 3 arguments; test on expressions not trained on."""
    print("\nTo show: a Tree-LSTM that reads an operator at each inner node learns MIN, MAX, MED and SUM modulo 10.\n")
    rng = np.random.default_rng(2)
    sizes = {"nodes": (3, 25), "max_depth": 4, "max_arguments": 3, "p_operator": 0.4}
    held_out, answers = listops(tests, rng, **sizes)
    texts = {tree.brackets() for tree in held_out}
    net = ts.nn.TreeLSTM(len(LISTOPS_VOCABULARY), 64, 10, arity=3, rng=rng)
    adam = Adam(net.parameters(), rate=0.005)
    start = time.perf_counter()
    for step in range(steps):
        trees, y = listops(64, rng, **sizes)
        fresh = [i for i, tree in enumerate(trees) if tree.brackets() not in texts]
        forest = ts.Forest([trees[i] for i in fresh])
        with ts.Tape():
            loss = net.loss(forest, forest.tokens(LISTOPS_VOCABULARY), y[fresh])
            loss.backward()
            if step % max(1, steps // 10) == 0:
                print(f"  step {step:5}: loss {loss.item():.3f}, {time.perf_counter() - start:.0f} s", flush=True)
        clip_global_norm(net.parameters(), 1.0)
        adam.step()
    forest = ts.Forest(held_out)
    with ts.Tape():
        right = net.output(forest, forest.tokens(LISTOPS_VOCABULARY)).value.argmax(axis=1) == answers
    print(f"  {100 * right.mean():.1f}% of {len(answers)} expressions right; the commonest answer alone is right for")
    print(f"  {100 * np.bincount(answers).max() / len(answers):.1f}%")


def main() -> None:
    """Run all parts."""
    args, clock = options(__doc__), Clock()
    paths()
    parity(60 if args.quick else 300)
    if args.long:
        small_listops(1500)
    tree = ts.Tree.balanced(8)
    with ts.Tape() as tape:
        ts.nn.RecursiveNet(8, 32, 2, rng=np.random.default_rng(0)).unfold(tree, np.zeros((8, 8), np.float32))
    viz.draw(tape, args.output / "recursive_net.svg", steps=tree.n_leaves * 2 - 1)
    print(f"{args.output / 'recursive_net.svg'}: the net over a balanced tree of 8 leaves ({clock})")


if __name__ == "__main__":
    main()
