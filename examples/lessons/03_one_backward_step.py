"""Lesson 3: What does one backward step do? A short run on a real tape answers; its code is in viz/lessons."""

from answer import answer

if __name__ == "__main__":
    answer(3, __doc__)
