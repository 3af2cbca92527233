#!/usr/bin/env bash
# Builds the emulated device with the host compiler: OUT_DIR/libcuda.so.1, the stand-in driver, and
# OUT_DIR/<family>.so, each kernel family as the driver takes it for a module; offenders.so holds the
# kernels that tests catch. What is newer than its sources is kept. EMULATOR_FLAGS, if set, is given to
# every compilation.
#
#   emulator.sh OUT_DIR
#
# Exit codes: 0 done, 1 something does not compile, 3 no g++ here.
set -euo pipefail
out=$1
root=$(cd "$(dirname "$0")/.." && pwd)
emulator=$root/emulator
kernels=$root/main/cuda
# Not whatever CXX names: the running thread is kept in a register, which g++ alone can promise.
compiler=g++

if ! command -v "$compiler" >/dev/null; then
  echo "kernels: no g++ here, so no emulated device is built: tests on it are skipped"
  exit 3
fi
objects=$out/objects
mkdir -p "$objects"

flags=(-std=c++17 -O2 -Wall -Wextra -Werror -fPIC -pthread -fvisibility=hidden -U_FORTIFY_SOURCE)
if echo 'int x;' | "$compiler" -march=native -x c++ -c -o /dev/null - 2>/dev/null; then
  flags+=(-march=native)
fi
read -ra more <<<"${EMULATOR_FLAGS:-}"
flags+=(${more[@]+"${more[@]}"})
# Products and sums round as they are written, whatever the compiler inlines where. Kernels view the
# same bytes as numbers of several types. A misaligned access, which a card refuses, traps.
kernelFlags=("${flags[@]}" -ffp-contract=off -fno-strict-aliasing -fno-exceptions -fno-rtti
  -fno-math-errno -Wno-psabi -fsanitize=alignment -fsanitize-undefined-trap-on-error -Wno-unknown-pragmas -I "$kernels" -I "$emulator/include")

# stale TARGET SOURCE HEADER_DIRECTORY...: whether the target must be built.
stale() {
  local target=$1 source=$2
  shift 2
  [ ! -f "$target" ] || [ "$source" -nt "$target" ] || [ "$root/build/emulator.sh" -nt "$target" ] ||
    [ -n "$(find "$@" \( -name '*.h' -o -name '*.cuh' \) -newer "$target" -print -quit)" ]
}

compile() {
  local target=$1
  shift
  "$compiler" "$@" -o "$target.new"
  mv "$target.new" "$target"
}

running=()
failed=0
workers=$(getconf _NPROCESSORS_ONLN)
schedule() {
  if [ ${#running[@]} -ge "$workers" ]; then
    wait "${running[0]}" || failed=1
    running=("${running[@]:1}")
  fi
  "$@" &
  running+=($!)
}
finish() {
  for process in ${running[@]+"${running[@]}"}; do
    wait "$process" || failed=1
  done
  running=()
}

linked=()
for source in "$emulator"/runtime/*.cpp "$emulator"/driver/*.cpp; do
  object=$objects/$(basename "$source" .cpp).o
  linked+=("$object")
  if stale "$object" "$source" "$emulator"; then
    schedule compile "$object" "${flags[@]}" -I "$emulator/include" -c "$source"
  fi
done
for source in "$kernels"/*.cu "$root"/test/cuda/*.cu; do
  [ -f "$source" ] || continue
  library=$out/$(basename "$source" .cu).so
  if stale "$library" "$source" "$emulator/include" "$kernels"; then
    schedule compile "$library" "${kernelFlags[@]}" -shared -x c++ "$source"
  fi
done
finish
[ "$failed" = 0 ] || exit 1

if [ ! -f "$out/libcuda.so.1" ] ||
  [ -n "$(find "${linked[@]}" -newer "$out/libcuda.so.1" -print -quit)" ]; then
  compile "$out/libcuda.so.1" -shared -pthread -Wl,-soname,libcuda.so.1 -Wl,-z,defs "${linked[@]}" -ldl
fi
