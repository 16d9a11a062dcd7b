"""Lesson 10: Teacher forcing or free running? A short run on a real tape answers; its code is in viz/lessons."""

from answer import answer

if __name__ == "__main__":
    answer(10, __doc__)
