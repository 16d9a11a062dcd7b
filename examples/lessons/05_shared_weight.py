"""Lesson 5: W is shared, so what vanishes? A short run on a real tape answers; its code is in viz/lessons."""

from answer import answer

if __name__ == "__main__":
    answer(5, __doc__)
