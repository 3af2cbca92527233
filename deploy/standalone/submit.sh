#!/usr/bin/env bash
# Runs a job on a standalone cluster. Everything after the script's name goes to bulkgen.
#   SPARK_HOME     a Spark 4.2 folder
#   SPARK_MASTER   spark://HOST:7077
#   BULKGEN_CONF   Spark's settings (default: conf/spark-standalone.properties, for GPUs)
# Example:
#   deploy/standalone/submit.sh generate --model /models/m --input /data/prompts.parquet --output /data/answers
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
: "${SPARK_HOME:?set it to a Spark 4.2 folder}"
: "${SPARK_MASTER:?set it to spark://HOST:7077}"
jars=("$root"/spark-job/target/bulkgen-spark-job-*-all.jar)

exec "$SPARK_HOME/bin/spark-submit" \
  --master "$SPARK_MASTER" --name bulkgen \
  --properties-file "${BULKGEN_CONF:-$root/conf/spark-standalone.properties}" \
  --class dev.bulkgen.spark.cli.Main "${jars[0]}" \
  "$@"
