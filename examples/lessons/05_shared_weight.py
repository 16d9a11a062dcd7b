"""Lesson 5: W is shared, so what vanishes? The run is in viz/lessons; pictures go to tinyseq-lessons."""

from tinyseq.viz.lessons import lesson

if __name__ == "__main__":
    print(lesson(5)("tinyseq-lessons"))
