#!/usr/bin/env bash
# Goes to conf/spark-env.sh of each worker's Spark folder. The master hands the GPUs of a worker out to executors.
# BULKGEN_HOME: this checkout, or a folder with its deploy/.

gpus="$(nvidia-smi --list-gpus | wc -l)"
# Four task slots a GPU, as conf/spark-standalone.properties has it: cores are only slots.
export SPARK_WORKER_CORES=$((gpus * 4))
export SPARK_WORKER_OPTS="-Dspark.worker.resource.gpu.amount=$gpus \
-Dspark.worker.resource.gpu.discoveryScript=${BULKGEN_HOME:-/opt/bulkgen}/deploy/gpu-discovery.sh"
