"""Lesson 9: Backward a second time? The run is in viz/lessons; pictures go to tinyseq-lessons."""

from tinyseq.viz.lessons import lesson

if __name__ == "__main__":
    print(lesson(9)("tinyseq-lessons"))
