"""Lesson 3: What does one backward step do? The run is in viz/lessons; pictures go to tinyseq-lessons."""

from tinyseq.viz.lessons import lesson

if __name__ == "__main__":
    print(lesson(3)("tinyseq-lessons"))
