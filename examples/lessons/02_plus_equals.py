"""Lesson 2: Why += ? A short run on a real tape answers; its code is in viz/lessons."""

from answer import answer

if __name__ == "__main__":
    answer(2, __doc__)
