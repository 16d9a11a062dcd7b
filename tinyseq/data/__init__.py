"""Data of one's own: arrays, tables, texts, folders, JSON lines, treebanks; in batches, windows and splits."""

from typing import TYPE_CHECKING

from tinyseq.data.batch import Batch
from tinyseq.data.batches import Batches
from tinyseq.data.files import conllu, json_lines, python, texts
from tinyseq.data.sequences import Sequences
from tinyseq.data.tables import csv
from tinyseq.data.treebanks import treebank
from tinyseq.data.trees import Trees
from tinyseq.data.wheels import co2, sunspots, vowels
from tinyseq.habits import module_names
from tinyseq.tasks.text import Corpus, Vocabulary, Windows
from tinyseq.tasks.text_files import read_text

__all__ = [
    "Batch",
    "Batches",
    "Corpus",
    "Sequences",
    "Trees",
    "Vocabulary",
    "Windows",
    "co2",
    "conllu",
    "csv",
    "json_lines",
    "python",
    "read_text",
    "sunspots",
    "texts",
    "treebank",
    "vowels",
]

if not TYPE_CHECKING:
    __getattr__ = module_names(__name__)
