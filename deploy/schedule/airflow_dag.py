"""Scores every day's prompts with Bulkgen, by Airflow's SparkSubmitOperator.

The output folder is named by the day that a run stands for, so that a task that Airflow tries
again takes up what the last try left, and one that was done does no work. Exit codes that no new
try can mend (2 too many failed rows, 3 other settings than the folder's) fail the task like any
other; the log names them.
"""

from datetime import datetime, timedelta

from airflow import DAG
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

CHECKOUT = "/opt/bulkgen"

with DAG(
    dag_id="bulkgen_daily",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    # Two drivers on one output: the second is refused.
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
) as dag:
    SparkSubmitOperator(
        task_id="generate",
        conn_id="spark_default",
        application=f"{CHECKOUT}/bulkgen-spark.jar",
        java_class="dev.bulkgen.spark.cli.Main",
        properties_file=f"{CHECKOUT}/conf/spark-standalone.properties",
        application_args=[
            "generate",
            "--model=/models/my-model",
            "--input=/data/prompts/{{ ds }}",
            "--output=/data/answers/{{ ds }}",
            "--id-column=id",
            "--max-tokens=256",
        ],
    )
