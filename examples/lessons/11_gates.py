"""Lesson 11: Why gates? A short run on a real tape answers; its code is in viz/lessons."""

from answer import answer

if __name__ == "__main__":
    answer(11, __doc__)
