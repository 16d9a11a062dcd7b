"""Lesson 2: Why += ? The run is in viz/lessons; pictures go to tinyseq-lessons."""

from tinyseq.viz.lessons import lesson

if __name__ == "__main__":
    print(lesson(2)("tinyseq-lessons"))
