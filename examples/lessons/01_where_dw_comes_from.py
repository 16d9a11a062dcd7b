"""Lesson 1: Where does dL/dW come from? The run is in viz/lessons; pictures go to tinyseq-lessons."""

from tinyseq.viz.lessons import lesson

if __name__ == "__main__":
    print(lesson(1)("tinyseq-lessons"))
