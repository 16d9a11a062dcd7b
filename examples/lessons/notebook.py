"""Write examples/bptt_tour.ipynb, the notebook of all twelve lessons, anew."""

import argparse
from pathlib import Path

from tinyseq.viz.lessons import tour

if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    path = Path(__file__).parents[1] / "bptt_tour.ipynb"
    path.write_text(tour(), encoding="utf-8")
    print(path)
