"""Trees against sequences: logical inference (Bowman, Manning and Potts 2015), ListOps (Nangia and Bowman 2018)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq import nn
from tinyseq.engine.limits import LIMITS
from tinyseq.nn.module import Module
from tinyseq.replay import compile
from tinyseq.results.experiment import Experiment, Figure
from tinyseq.structure.tree import Forest, Tree
from tinyseq.tasks.logic import INFERENCE_VOCABULARY, RELATIONS, InferencePair, inference_pairs, inference_split
from tinyseq.tasks.trees import LISTOPS_VOCABULARY, listops
from tinyseq.train.clipping import clip_global_norm
from tinyseq.train.optimisers import Adam

BATCH, COMPARED = 64, 75
MEGABYTES = 2048  # of recordings: batches of trees that are dropped are recorded anew each epoch
Batch = tuple[tuple[Any, ...], np.ndarray]


def in_words(tree: Tree, vocabulary: dict[Any, int]) -> np.ndarray:
    """A tree as a sequence of tokens: words, and a bracket before and after each inner node's parts, with its label in
    between where it has one."""
    opened, closed = len(vocabulary), len(vocabulary) + 1
    words: list[int] = []
    stack: list[Any] = [tree.root]
    while stack:
        at = stack.pop()
        if at is None:
            words.append(closed)
            continue
        children, label = tree.children_of(at), tree.labels[at]
        if not children:
            words.append(vocabulary[label])
            continue
        words += [opened] if label not in vocabulary else [opened, vocabulary[label]]
        stack += [None, *reversed(children)]
    return np.array(words, np.int64)


class Reader(Module):
    """A tree's or a sequence's vector: h of the root of a Tree-LSTM, or the last h of an LSTM over the words."""

    def __init__(self, vocabulary: dict[Any, int], hidden: int, arity: int, tree: bool, rng: np.random.Generator):
        self.vocabulary, self.tree = vocabulary, tree
        if tree:
            self.net: Any = nn.TreeLSTM(len(vocabulary), hidden, 1, arity=arity, rng=rng)
            self.net.V_o.trainable = self.net.c.trainable = False  # the output is made of several vectors
        else:
            self.net = nn.LSTMCell(len(vocabulary) + 2, hidden, rng=rng)

    def given(self, trees: Sequence[Tree]) -> tuple[Any, ...]:
        """What ``vectors`` takes, from trees."""
        if self.tree:
            forest = Forest(trees)
            tokens = forest.tokens(self.vocabulary)
            return forest, tokens if (tokens >= 0).all() else tokens[: forest.n_leaves]  # inner nodes without labels
        return (nn.pack([in_words(tree, self.vocabulary) for tree in trees]),)

    def vectors(self, *given: Any) -> Any:
        """(trees, hidden)."""
        return self.net.hidden(self.net.unfold(*given).roots) if self.tree else self.net.encode(*given).last


class Classifier(Module):
    """softmax(c + V tanh(k + K [h_1; …; h_n])) of n neighbouring vectors: a comparison layer, as Bowman's; without one
    for n = 1."""

    def __init__(self, reader: Reader, hidden: int, classes: int, each: int, rng: np.random.Generator) -> None:
        self.reader, self.each, size = reader, each, hidden
        self.compare = nn.Linear(each * hidden, COMPARED, rng=rng) if each > 1 else None
        self.output = nn.Linear(COMPARED if each > 1 else size, classes, rng=rng)

    def outputs(self, *given: Any) -> Any:
        """(examples, classes)."""
        h = self.reader.vectors(*given)
        if self.compare is not None:
            h = F.tanh(self.compare.outputs(F.reshape(h, (h.shape[0] // self.each, -1))))
        return self.output.outputs(h)

    def loss(self, y: Any, *given: Any) -> Any:
        """−log p of the class, the mean over examples."""
        return F.cross_entropy(self.outputs(*given), y)


def fitted(model: Classifier, batches: list[Batch], epochs: int, rate: float, rng: np.random.Generator) -> list[Any]:
    """Adam over fixed batches in new order each epoch, the rate falling on a cosine; the loss of each epoch."""
    optimiser, curve, total, done = Adam(model.parameters(), rate), [], epochs * len(batches), 0
    with LIMITS.at_least(len(batches) + 8, MEGABYTES):
        loss = compile(model.loss)
        for epoch in range(epochs):
            losses = []
            for k in rng.permutation(len(batches)):
                given, y = batches[k]
                optimiser.rate = rate * 0.5 * (1 + np.cos(np.pi * done / total)) + 1e-6
                losses.append(float(loss.backward(y, *given)))
                clip_global_norm(model.parameters(), 5.0)
                optimiser.step()
                done += 1
            curve.append([epoch + 1, float(np.mean(losses))])
    return curve


def right(model: Classifier, batches: list[Batch]) -> np.ndarray:
    """Whether each example is classified right, in the order of the batches."""
    outputs = compile(model.outputs)
    with LIMITS.at_least(len(batches) + 8):
        return np.concatenate([outputs(*given).argmax(axis=1) == y for given, y in batches])


def in_batches(examples: Sequence[Any], make: Callable[[Sequence[Any]], Batch]) -> list[Batch]:
    """Batches of examples, those of like size together as they come."""
    return [make(examples[i : i + BATCH]) for i in range(0, len(examples), BATCH)]


def inference(
    seed: int, *, tree: bool, pairs: int = 20_000, longer: int = 3000, hidden: int = 25, epochs: int = 15,
    rate: float = 0.01,
) -> dict[str, Any]:  # fmt: skip
    """Trained on pairs of up to 6 operators; right on the held-out pairs of 0 to 6, of 7 to 12, and of each number.

    ``pairs`` have up to 6 operators; of ``longer``, of up to 12, those of more than 6 are tested on."""
    rng = np.random.default_rng([seed, 6])
    train, test = inference_split(inference_pairs(pairs, rng, max_operators=6), rng)
    test += [pair for pair in inference_pairs(longer, rng) if pair.operators > 6]
    reader = Reader(INFERENCE_VOCABULARY, hidden, 2, tree, rng)
    model = Classifier(reader, hidden, len(RELATIONS), 2, rng)

    def made(some: Sequence[InferencePair]) -> Batch:
        return reader.given([f for p in some for f in (p.left, p.right)]), np.array([p.relation for p in some])

    order = [train[i] for i in rng.permutation(len(train))]
    curve = fitted(model, in_batches(order, made), epochs, rate, rng)
    good, sizes = right(model, in_batches(test, made)), np.array([p.operators for p in test])
    common = np.bincount([p.relation for p in train]).argmax()
    by_size = [[int(n), float(good[sizes == n].mean())] for n in np.unique(sizes)]
    return {
        "short": float(good[sizes <= 6].mean()), "long": float(good[sizes > 6].mean()),
        "common": float(np.mean([p.relation == common for p in test])), "trained_on": len(train),
        "loss": curve[-1][1], "curves": {"right, by operators": by_size},
    }  # fmt: skip


def list_operations(
    seed: int, *, tree: bool, examples: int = 8000, tested: int = 2000, hidden: int = 48, epochs: int = 10,
    rate: float = 0.005, nodes: tuple[int, int] = (3, 40),
) -> dict[str, Any]:  # fmt: skip
    """The share of new ListOps expressions whose value is found."""
    rng = np.random.default_rng([seed, 20])
    trees, answers = listops(examples + tested, rng, nodes=nodes)
    reader = Reader(LISTOPS_VOCABULARY, hidden, 5, tree, rng)
    model = Classifier(reader, hidden, 10, 1, rng)
    together = list(zip(trees, answers.tolist(), strict=True))
    texts = {t.brackets() for t in trees[:examples]}

    def made(some: Sequence[Any]) -> Batch:
        return reader.given([t for t, _ in some]), np.array([y for _, y in some])

    curve = fitted(model, in_batches(together[:examples], made), epochs, rate, rng)
    new = [pair for pair in together[examples:] if pair[0].brackets() not in texts]
    good = right(model, in_batches(new, made))
    common = np.bincount(answers).max() / len(answers)
    return {"accuracy": float(good.mean()), "common": float(common), "curves": {"training loss": curve}}


PAPER = "Bowman, Manning and Potts 2015"


TREE_SETUP = (
    "{n}; Adam, batches of 64, the rate falling on a cosine; a comparison layer of 75 tanh units reads both vectors. "
    "The sequence LSTM reads the words with brackets. The paper's vectors and data set are larger."
)


TREE_CHOSEN = "rate and epochs by what a seed may take here, on seed 1000; the same for both nets."


FEW = (
    "17,000 pairs are too few, not the epochs: on seed 1000 they give 0.63 and 0.61 in 15 epochs, 0.69 and 0.61 in 45, "
    "but 51,000 pairs 0.81 and 0.70 in 15. It stands above the LSTM over the words on every seed"
)
FEW_EXPRESSIONS = (
    "8,000 expressions are too few: the training loss falls to 0.5 nats, while nearly half of the new ones are wrong"
)


def _inference(name: str, title: str, tree: bool, short: str, long: str, least: float | None) -> Experiment:
    return Experiment(
        name,
        "starred",
        title,
        PAPER,
        (
            Figure("short", "right, 0 to 6 operators", short, recalled=True),
            Figure("long", "right, 7 to 12 operators", long, recalled=True, at_least=least, why=FEW),
            Figure("common", "the commonest relation alone", ""),
        ),
        partial(inference, tree=tree),
        TREE_SETUP.format(n="17,000 pairs of up to 6 operators, 25 units (as the paper's), 15 epochs at rate 0.01"),
        TREE_CHOSEN,
        seeds=1,
        full=3,
        seconds=12.5,
        short={"pairs": 3000, "longer": 100, "epochs": 12},
        axes=("operators", "right"),
    )


def _listops(name: str, title: str, tree: bool, paper: str, least: float | None) -> Experiment:
    return Experiment(
        name,
        "starred",
        title,
        "Nangia and Bowman 2018",
        (
            Figure(
                "accuracy",
                "right on 2,000 new expressions",
                paper,
                recalled=True,
                at_least=least,
                why=FEW_EXPRESSIONS,
            ),
            Figure("common", "the commonest answer alone", ""),
        ),
        partial(list_operations, tree=tree),
        TREE_SETUP.format(n="8,000 expressions of 3 to 40 nodes, 48 units, 10 epochs at rate 0.005"),
        TREE_CHOSEN,
        seeds=1,
        full=3,
        seconds=8.8,
        short={"examples": 1500, "tested": 300, "epochs": 6, "hidden": 32},
        axes=("epoch", "training loss"),
    )


EXPERIMENTS = (
    _inference("logic-tree", "Logical inference, Tree-LSTM", True, "94%", "86%", 0.75),
    _inference("logic-sequence", "Logical inference, LSTM over the words", False, "88%", "69%", None),
    _listops("listops-tree", "ListOps, Tree-LSTM", True, "98.7%", 0.9),
    _listops("listops-sequence", "ListOps, LSTM over the words", False, "72%", None),
)
