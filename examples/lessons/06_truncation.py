"""Lesson 6: What does truncation cut? A short run on a real tape answers; its code is in viz/lessons."""

from answer import answer

if __name__ == "__main__":
    answer(6, __doc__)
