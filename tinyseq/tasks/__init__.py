"""Tasks: embedded and user texts with their baselines, each with its source."""

from typing import TYPE_CHECKING

from tinyseq.habits import module_names
from tinyseq.tasks.markov import Markov
from tinyseq.tasks.text import EMBEDDED, Corpus, Vocabulary, Windows, embedded_text
from tinyseq.tasks.text_files import read_text
from tinyseq.tasks.trees import read_trees

__all__ = ["EMBEDDED", "Corpus", "Markov", "Vocabulary", "Windows", "embedded_text", "read_text", "read_trees"]

if not TYPE_CHECKING:
    __getattr__ = module_names(__name__)
