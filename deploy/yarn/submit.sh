#!/usr/bin/env bash
# Runs a job on YARN. Everything after the script's name goes to bulkgen.
#   SPARK_HOME        a Spark 4.2 folder
#   HADOOP_CONF_DIR   the cluster's settings
# Example:
#   deploy/yarn/submit.sh generate --model hdfs:///models/m --input hdfs:///data/prompts --output hdfs:///data/answers
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
: "${SPARK_HOME:?set it to a Spark 4.2 folder}"
: "${HADOOP_CONF_DIR:?set it to the folder with the settings of the cluster}"
jars=("$root"/spark-job/target/bulkgen-spark-job-*-all.jar)

exec "$SPARK_HOME/bin/spark-submit" \
  --master yarn --deploy-mode cluster --name bulkgen \
  --properties-file "$root"/conf/spark-yarn.properties \
  --files "$root"/deploy/gpu-discovery.sh \
  --class dev.bulkgen.spark.cli.Main "${jars[0]}" \
  "$@"
