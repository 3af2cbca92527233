#!/usr/bin/env bash
# Compiles every kernel family with nvcc into OUT_DIR/<family>.fatbin: machine code for each card
# below and PTX of the lowest for newer ones. Families whose sources have not changed are kept.
# Writes OUT_DIR/catalogue.sha256, OUT_DIR/targets, and REPORT: registers, shared memory, stack and
# spills of every kernel on every card, and the tensor-core and 16-byte instructions in its PTX.
#
#   fatbin.sh OUT_DIR REPORT
#
# Exit codes: 0 done, 1 a kernel does not compile, leaves its rounding open or (of decoding) spills, 3 no
# nvcc here.
set -euo pipefail
out=$1
report=$2
sources=$(cd "$(dirname "$0")/../main/cuda" && pwd)
nvcc=${NVCC:-nvcc}
cards="80 86 89 90"
lowest=80

if ! command -v "$nvcc" >/dev/null; then
  echo "kernels: no nvcc here, so no fat binary is built: the CUDA backend will say so at run time"
  exit 3
fi
log=$(dirname "$report")/nvcc-log
mkdir -p "$out" "$log"

targets=(-gencode "arch=compute_$lowest,code=compute_$lowest")
for card in $cards; do
  targets+=(-gencode "arch=compute_$card,code=sm_$card")
done

# Products and sums round as they are written: which of them nvcc would contract hangs on the kernel that
# a function is inlined into, and a row must have the same bits from every kernel.
flags=(-std=c++17 -O3 -fmad=false -Werror all-warnings -I "$sources")

compile() {
  local family=$1
  local started=$SECONDS
  "$nvcc" "${flags[@]}" -Xptxas -v,-warn-spills \
    --ptx -arch "compute_$lowest" -o "$log/$family.ptx" "$sources/$family.cu" >/dev/null 2>&1 || true
  if ! "$nvcc" "${flags[@]}" -lineinfo -Xptxas -v "${targets[@]}" \
    --fatbin -o "$log/$family.fatbin" "$sources/$family.cu" >"$log/$family.log" 2>&1; then
    grep -v '^ptxas info' "$log/$family.log" >&2 || true
    echo "kernels: $family.cu does not compile" >&2
    return 1
  fi
  mv "$log/$family.fatbin" "$out/$family.fatbin"
  echo "kernels: compiled $family.cu in $((SECONDS - started)) s"
}

stale() {
  [ ! -f "$out/$1.fatbin" ] || [ "$0" -nt "$out/$1.fatbin" ] ||
    [ -n "$(find "$sources" \( -name "$1.cu" -o -name '*.cuh' -o -name '*.h' \) -newer "$out/$1.fatbin" -print -quit)" ]
}

workers=$(getconf _NPROCESSORS_ONLN)
running=()
failed=0
for source in "$sources"/*.cu; do
  family=$(basename "$source" .cu)
  stale "$family" || continue
  if [ ${#running[@]} -ge "$workers" ]; then
    wait "${running[0]}" || failed=1
    running=("${running[@]:1}")
  fi
  compile "$family" &
  running+=($!)
done
for process in ${running[@]+"${running[@]}"}; do
  wait "$process" || failed=1
done
[ "$failed" = 0 ] || exit 1

# Functions of CUDA's own headers are not under that flag: what they leave open shows in the PTX.
open=$(grep -lE '[[:space:]](add|sub|mul)\.(f16|f16x2|bf16|bf16x2|f32|f64)' "$log"/*.ptx || true)
if [ -n "$open" ]; then
  echo "kernels: a card may contract products and sums of ${open//$log\//}" >&2
  exit 1
fi

sha256sum "$sources/arguments.h" | cut -d ' ' -f 1 >"$out/catalogue.sha256"
# shellcheck disable=SC2086
printf '%s\n' "compute_$lowest" $(printf 'sm_%s ' $cards) >"$out/targets"

{
  "$nvcc" --version | grep release
  echo
  printf '%-28s %6s %9s %7s %7s %7s %5s %8s %9s\n' kernel card registers stack spilled static mma ldmatrix 16-byte
  for file in "$log"/*.log; do
    family=$(basename "$file" .log)
    awk -v ptx="$log/$family.ptx" '
      BEGIN {
        while ((getline line < ptx) > 0) {
          if (match(line, /\.entry [A-Za-z0-9_]+/)) name = substr(line, RSTART + 7, RLENGTH - 7)
          if (line ~ /mma\.sync/) mma[name]++
          if (line ~ /ldmatrix/) ldmatrix[name]++
          if (line ~ /cp\.async\.cg|ld\.global[a-zA-Z0-9_:.]*\.v4|ld\.global[a-zA-Z0-9_:.]*v2\.[bu]64|st\.global[a-zA-Z0-9_:.]*\.v4/) wide[name]++
        }
      }
      /Compiling entry function/ { split($0, part, "\047"); kernel = part[2]; card = part[4] }
      /bytes stack frame/ { stack = $1; spilled = $5 + $9 }
      /Used [0-9]+ registers/ {
        match($0, /Used [0-9]+/); registers = substr($0, RSTART + 5, RLENGTH - 5)
        shared = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART, RLENGTH - 11) : 0
        printf "%-28s %6s %9d %7d %7d %7d %5d %8d %9d\n", kernel, card, registers, stack, spilled, shared, mma[kernel], ldmatrix[kernel], wide[kernel]
      }' "$file" | sort
  done
} >"$report"

spilling=$(awk '$1 ~ /decode|flush|merge|sample|matmul/ && $5 > 0 { print "  " $1 " on " $2 ": " $5 " bytes" }' "$report")
if [ -n "$spilling" ]; then
  printf 'kernels: decode kernels spill registers:\n%s\n' "$spilling" >&2
  exit 1
fi
