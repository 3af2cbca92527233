"""Stands in for PySpark, which the build cannot count on: a DataFrame is its Java object."""


class DataFrame:
    def __init__(self, jdf, session):
        self._jdf = jdf
        self.session = session
