"""Lesson 4: Why did the gradient vanish? The run is in viz/lessons; pictures go to tinyseq-lessons."""

from tinyseq.viz.lessons import lesson

if __name__ == "__main__":
    print(lesson(4)("tinyseq-lessons"))
