"""Lesson 4: Why did the gradient vanish? A short run on a real tape answers; its code is in viz/lessons."""

from answer import answer

if __name__ == "__main__":
    answer(4, __doc__)
