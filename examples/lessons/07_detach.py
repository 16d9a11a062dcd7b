"""Lesson 7: What does detach do? A short run on a real tape answers; its code is in viz/lessons."""

from answer import answer

if __name__ == "__main__":
    answer(7, __doc__)
