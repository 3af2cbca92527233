"""drive.py PORT MODEL OUTPUT: runs bulkgen.py against a driver's gateway and prints what came of it."""

import sys

from bulkgen import Bulkgen
from driver import connect
from pyspark.sql import DataFrame

model, output = sys.argv[2], sys.argv[3]
spark, rows = connect(int(sys.argv[1]))
settings = dict(model=model, memory="64MB", max_batch=16, max_tokens=2, temperature=0, top_p=None)

answers = Bulkgen(
    spark, output=output, id_column="id", stop=["it's", "\\n"], token_ids=True, **settings
).generate(rows)
print("generated", answers._jdf.count())

Bulkgen(spark, output=output + "-stream", **settings).generate_batch(rows, 3)

call = Bulkgen(spark, output=output + "-call", stop=["it's", "\\n"], token_ids=True, **settings)
DataFrame.createOrReplaceTempView = lambda self, name: self._jdf.createOrReplaceTempView(name)
DataFrame.first = lambda self: self._jdf.first()
print("called", call.call(rows).mkString("|").replace("\n", " "))



class Remote:
    """What Spark Connect has of a session."""

    read = spark._jsparkSession.read()

    def sql(self, text):
        self.row = spark.sql(text).first()
        return self

    def first(self):
        return {"output": self.row.getString(0)}


lines = Bulkgen(
    Remote(), output=output + "-lines", output_format="jsonl", stop="it's", **settings
).generate(rows)
print("remote", lines.count())

try:
    Bulkgen(spark, output=output, temprature=1, **settings).generate(rows)
except RuntimeError as error:
    print("refused", str(error).replace("\n", " "))

scoring = dict(
    model=model,
    memory="64MB",
    max_batch=16,
    prompt_template="{prompt} ",
    completion_column="answer",
)
scores = Bulkgen(spark, output=output + "-score", **scoring).score(rows)
print("scored", scores._jdf.count())
Bulkgen(spark, output=output + "-score-stream", **scoring).score_batch(rows, 4)
called = Bulkgen(spark, output=output + "-score-call", **scoring).call(rows, "score")
print("called", called.mkString("|").replace("\n", " "))
