"""Cells and models, one file for each section of the chapter."""

from tinyseq.nn.bidirectional import Bidirectional
from tinyseq.nn.cells import InContext, RNNCell
from tinyseq.nn.deep import DeepTransition, Stack, StackedCells
from tinyseq.nn.dropout import dropout, dropout_mask
from tinyseq.nn.gates import GRUCell, LSTMCell
from tinyseq.nn.heads import ManyToMany, ManyToOne
from tinyseq.nn.module import Cell, Module
from tinyseq.nn.output_recurrence import OutputRecurrence
from tinyseq.nn.recursive import RNTN, ChildSumTreeLSTM, RecursiveNet, TreeCell, TreeLSTM, TreeNet
from tinyseq.nn.rnn import RNN
from tinyseq.nn.sequences import Encoded, Packed, pack, unpack

__all__ = [
    "RNN",
    "RNTN",
    "Bidirectional",
    "Cell",
    "ChildSumTreeLSTM",
    "DeepTransition",
    "Encoded",
    "GRUCell",
    "InContext",
    "LSTMCell",
    "ManyToMany",
    "ManyToOne",
    "Module",
    "OutputRecurrence",
    "Packed",
    "RNNCell",
    "RecursiveNet",
    "Stack",
    "StackedCells",
    "TreeCell",
    "TreeLSTM",
    "TreeNet",
    "dropout",
    "dropout_mask",
    "pack",
    "unpack",
]
