"""Random programs as a user writes them, run by every executor and held against each other: ``tinyseq check``."""
