#!/usr/bin/env bash
# Answers one day's prompts; without a day, yesterday's. Started again for the same day, it runs what is missing.
#   nightly.sh [YYYY-MM-DD]
# BULKGEN_MODEL, BULKGEN_INPUT and BULKGEN_OUTPUT name the model and the folders with a folder for each day.
# SPARK_HOME and SPARK_MASTER are those of deploy/standalone/submit.sh.
set -euo pipefail
day="${1:-$(date -u -d yesterday +%F)}"
[[ "$day" =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}$ ]] || { echo "nightly: '$day' is no day like 2026-01-31" >&2; exit 1; }

exec "$(dirname "$0")/../standalone/submit.sh" generate \
  --model "${BULKGEN_MODEL:?set it to the folder of the model}" \
  --input "${BULKGEN_INPUT:?set it to the folder of the prompts}/$day" \
  --output "${BULKGEN_OUTPUT:?set it to the folder of the results}/$day"
