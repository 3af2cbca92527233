"""Bulk generation and scoring with Bulkgen from PySpark; it lies in Bulkgen's jar.

    spark-submit --jars bulkgen-spark.jar --py-files bulkgen-spark.jar job.py

    from bulkgen import Bulkgen

    job = Bulkgen(spark, model="/models/m", kv_cache="kivi2", max_tokens=256, output="/data/answers")
    answers = job.generate(questions)

Settings are those of the command line, with underscores for hyphens. Everything else, such as what
a second call does, is as in the Java class dev.bulkgen.spark.api.Bulkgen.
"""


# How Spark reads each output_format.
_READERS = {"parquet": "parquet", "arrow": "arrow-ipc", "jsonl": "json", "openai-batch": "json"}

# Settings that take several values, of which one may be given by itself.
_LISTS = ("stop", "stop_token_ids")


class Bulkgen:
    """A job's settings; see the module for an example.

    :param spark: a SparkSession, classic or of Spark Connect
    :param settings: by name; a list or tuple where a setting takes several values
    """

    def __init__(self, spark, **settings):
        self._spark = spark
        self._settings = {name: value for name, value in settings.items() if value is not None}

    def generate(self, rows):
        """Generates for every row, and waits; the DataFrame returned reads the results.

        :param rows: a DataFrame, or the path of files
        """
        return self._results("generate", rows)

    def score(self, rows):
        """Scores the completions or texts of every row, as generate does the rest.

        :param rows: a DataFrame, or the path of files
        """
        return self._results("score", rows)

    def generate_batch(self, rows, batch_id):
        """One micro-batch of a stream: stream.writeStream.foreachBatch(job.generate_batch)."""
        self._job().generateBatch(rows._jdf, batch_id)

    def score_batch(self, rows, batch_id):
        """One micro-batch of a stream: stream.writeStream.foreachBatch(job.score_batch)."""
        self._job().scoreBatch(rows._jdf, batch_id)

    def call(self, rows, procedure="generate"):
        """Runs CALL bulkgen.system.generate and returns its row of figures; needs the catalog
        spark.sql.catalog.bulkgen, and is the way that Spark Connect has.

        :param rows: a DataFrame, the name of a table or view, or the path of files
        :param procedure: generate or score
        """
        if not isinstance(rows, str):
            rows.createOrReplaceTempView("bulkgen_rows")
            rows = "bulkgen_rows"
        values = {"input": rows, **self._settings}
        for name in _LISTS:
            if name in values and not isinstance(values[name], (list, tuple)):
                values[name] = [values[name]]
        names = ", ".join(f"{name} => {_sql(value)}" for name, value in values.items())
        return self._spark.sql(f"CALL bulkgen.system.{procedure}({names})").first()

    def _results(self, procedure, rows):
        if not hasattr(self._spark, "_jsparkSession"):
            reader = _READERS[str(self._settings.get("output_format", "parquet")).lower()]
            return self._spark.read.format(reader).load(self.call(rows, procedure)["output"])
        action = getattr(self._job(), procedure)
        results = action(rows if isinstance(rows, str) else rows._jdf)
        from pyspark.sql import DataFrame

        return DataFrame(results, self._spark)

    def _job(self):
        gateway = self._spark._sc._gateway
        job = gateway.jvm.dev.bulkgen.spark.api.Bulkgen.on(self._spark._jsparkSession)
        for name, value in self._settings.items():
            values = value if isinstance(value, (list, tuple)) else [value]
            array = gateway.new_array(gateway.jvm.java.lang.String, len(values))
            for place, element in enumerate(values):
                array[place] = str(element)
            is_name = name == "input_name"
            job = job.inputName(array[0]) if is_name else job.set(name.replace("_", "-"), array)
        return job


def _sql(value):
    """A value as a literal of SQL."""
    if isinstance(value, (list, tuple)):
        return "array(" + ", ".join(_sql(element) for element in value) + ")"
    if isinstance(value, (bool, int, float)):
        return str(value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
