"""``python -m tinyseq``."""

from tinyseq.cli import main

if __name__ == "__main__":
    main()
