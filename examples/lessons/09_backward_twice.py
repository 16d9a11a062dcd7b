"""Lesson 9: Backward a second time? A short run on a real tape answers; its code is in viz/lessons."""

from answer import answer

if __name__ == "__main__":
    answer(9, __doc__)
