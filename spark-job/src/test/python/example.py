"""example.py PORT FILE: runs an example of the documents, in which 'spark' and 'questions' are there."""

import sys

from driver import connect

spark, questions = connect(int(sys.argv[1]))
names = {"spark": spark, "questions": questions}
with open(sys.argv[2], encoding="utf-8") as example:
    exec(example.read(), names)
print("rows", names["answers"]._jdf.count())
