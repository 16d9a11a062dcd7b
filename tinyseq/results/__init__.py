"""The field's published results: each a function of a seed, run, kept, and put beside the paper's figure."""
