"""Lesson 7: What does detach do? The run is in viz/lessons; pictures go to tinyseq-lessons."""

from tinyseq.viz.lessons import lesson

if __name__ == "__main__":
    print(lesson(7)("tinyseq-lessons"))
