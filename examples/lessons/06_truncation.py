"""Lesson 6: What does truncation cut? The run is in viz/lessons; pictures go to tinyseq-lessons."""

from tinyseq.viz.lessons import lesson

if __name__ == "__main__":
    print(lesson(6)("tinyseq-lessons"))
