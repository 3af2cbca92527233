#!/usr/bin/env bash
# Tells Spark which GPUs a process may use, as {"name":"gpu","addresses":["0","1"]}: the value of
# spark.executor.resource.gpu.discoveryScript and spark.worker.resource.gpu.discoveryScript.
# CUDA_VISIBLE_DEVICES narrows it: indexes, or UUIDs such as GPU-4f1e2d3c…; empty means none.
set -euo pipefail

fail() {
  echo "gpu-discovery: $1" >&2
  exit 1
}

command -v nvidia-smi > /dev/null \
  || fail "nvidia-smi is not here: install NVIDIA's driver, or run without spark.executor.resource.gpu.amount"
listed="$(nvidia-smi --query-gpu=index,uuid --format=csv,noheader 2>&1)" \
  || fail "nvidia-smi failed: $listed"

addresses=()
if [[ -z "${CUDA_VISIBLE_DEVICES+set}" ]]; then
  while IFS=', ' read -r index _; do
    [[ "$index" =~ ^[0-9]+$ ]] && addresses+=("$index")
  done <<< "$listed"
else
  IFS=',' read -r -a visible <<< "$CUDA_VISIBLE_DEVICES"
  # Java sees the visible ones alone, numbered from 0 in their order.
  for place in "${!visible[@]}"; do
    wanted="${visible[$place]// /}"
    # CUDA ignores what stands behind the first device that is not there.
    grep -q -E "^$wanted,|, $wanted" <<< "$listed" || break
    addresses+=("$place")
  done
fi

((${#addresses[@]} > 0)) \
  || fail "no GPU: nvidia-smi lists '${listed//$'\n'/; }', CUDA_VISIBLE_DEVICES is '${CUDA_VISIBLE_DEVICES-not set}'"
quoted="$(printf ',"%s"' "${addresses[@]}")"
echo "{\"name\":\"gpu\",\"addresses\":[${quoted:1}]}"
