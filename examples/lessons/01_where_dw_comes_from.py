"""Lesson 1: Where does dL/dW come from? A short run on a real tape answers; its code is in viz/lessons."""

from answer import answer

if __name__ == "__main__":
    answer(1, __doc__)
