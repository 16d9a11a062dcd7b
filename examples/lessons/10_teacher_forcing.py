"""Lesson 10: Teacher forcing or free running? The run is in viz/lessons; pictures go to tinyseq-lessons."""

from tinyseq.viz.lessons import lesson

if __name__ == "__main__":
    print(lesson(10)("tinyseq-lessons"))
