"""Cells and models, one file for each section of the chapter."""

from tinyseq.nn.module import Cell, Module
from tinyseq.nn.recursive import RNTN, ChildSumTreeLSTM, RecursiveNet, TreeCell, TreeLSTM, TreeNet
from tinyseq.nn.rnn import RNN

__all__ = ["RNN", "RNTN", "Cell", "ChildSumTreeLSTM", "Module", "RecursiveNet", "TreeCell", "TreeLSTM", "TreeNet"]
