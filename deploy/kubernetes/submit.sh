#!/usr/bin/env bash
# Runs a job on Kubernetes without an operator. Everything after the script's name goes to bulkgen.
#   SPARK_HOME    a Spark 4.2 folder
#   KUBE_MASTER   k8s://https://HOST:6443
# Example:
#   deploy/kubernetes/submit.sh generate --model s3a://models/m --input s3a://data/prompts --output s3a://data/answers
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
: "${SPARK_HOME:?set it to a Spark 4.2 folder}"
: "${KUBE_MASTER:?set it to k8s://https://HOST:6443}"

exec "$SPARK_HOME/bin/spark-submit" \
  --master "$KUBE_MASTER" --deploy-mode cluster --name bulkgen \
  --properties-file "$root"/conf/spark-kubernetes.properties \
  --conf spark.kubernetes.submission.waitAppCompletion=true \
  --conf spark.kubernetes.executor.podTemplateFile="$root"/deploy/kubernetes/executor-pod.yaml \
  --class dev.bulkgen.spark.cli.Main local:///opt/bulkgen/bulkgen-spark.jar \
  "$@"
