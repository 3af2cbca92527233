"""A PySpark session as bulkgen.py uses it, over a gateway whose entry point has the session and rows."""

from types import SimpleNamespace

from gateway import Gateway
from pyspark.sql import DataFrame


class Session(SimpleNamespace):
    def sql(self, text):
        return DataFrame(self._jsparkSession.sql(text), self)


def connect(port):
    """The session and its rows."""
    gateway = Gateway(port)
    spark = Session(
        _sc=SimpleNamespace(_gateway=gateway), _jsparkSession=gateway.entry_point.getSession()
    )
    return spark, DataFrame(gateway.entry_point.getRows(), spark)
