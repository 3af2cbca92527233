#!/usr/bin/env bash
# Makes the check bundle: OUT_DIR/bulkgen-gpu-check.tar.gz, a Java runtime of the modules that are
# needed, the jars with only the natives of linux-x86_64, the tests, golden data, and `run`.
#
#   bundle.sh JAVA_HOME FIXTURES OUT_DIR CLASS_PATH
#
# Exit codes: 0 done, 1 something is missing or the archive is too large.
set -euo pipefail
java=$1
fixtures=$2
out=$3
IFS=: read -r -a class_path <<<"$4"
here=$(cd "$(dirname "$0")" && pwd)
name=bulkgen-gpu-check
bundle=$out/$name
most_bytes=60000000
modules=java.base,java.logging,java.management,jdk.management,jdk.unsupported,jdk.incubator.vector,jdk.zipfs

fail() {
  echo "gpu-check: $1" >&2
  exit 1
}
[ -d "$fixtures/golden" ] || fail "no golden data in $fixtures; name its folder with -Dfixtures.dir"
[ -d "$java/jmods" ] || fail "$java has no jmods: build with a full JDK"

rm -rf "$bundle"
mkdir -p "$bundle/lib" "$bundle/tests" "$bundle/fixtures/models"
strip=--strip-java-debug-attributes
command -v objcopy >/dev/null && strip=--strip-debug
"$java/bin/jlink" --module-path "$java/jmods" --add-modules "$modules" "$strip" --no-header-files \
  --no-man-pages --compress=0 --vm=server --output "$bundle/java" 2>/dev/null ||
  fail "jlink failed"

# Jars with natives keep those that are loaded.
trim() {
  local work=$out/trim
  rm -rf "$work"
  mkdir -p "$work"
  (
    cd "$work"
    "$java/bin/jar" xf "$1"
    rm -rf lib/libJNvPTXCompiler* lib/libJNvrtc* lib/libJCudaRuntime* lib/libJCublas-* META-INF/maven
    "$java/bin/jar" cfM "$2" .
  )
  rm -rf "$work"
}
for entry in "${class_path[@]}"; do
  case $entry in
    */test-classes) cp -r "$entry/." "$bundle/tests" ;;
    */classes) [ ! -d "$entry" ] || "$java/bin/jar" cf "$bundle/lib/$(basename "$(dirname "$(dirname "$entry")")").jar" -C "$entry" . ;;
    # Not for these checks: packages' dependencies, text, and a log beyond that of log4j-api, whose
    # full form would need java.desktop.
    */archunit* | */ai/djl/* | */log4j-core-* | */log4j-slf4j* | */slf4j-*) ;;
    */jcuda-natives-* | */jcublas-natives-*) trim "$entry" "$(cd "$bundle" && pwd)/lib/$(basename "$entry")" ;;
    *.jar) cp "$entry" "$bundle/lib" ;;
  esac
done
cp -r "$fixtures/golden" "$bundle/fixtures"
rm -f "$bundle/fixtures/golden/quantizer.safetensors"
cp -r "$fixtures/models/stories260k" "$bundle/fixtures/models"
chmod -R u+w "$bundle/fixtures"
cp "$here/run" "$bundle/run"
chmod +x "$bundle/run"

for jar in "$bundle"/lib/*kernels*.jar; do
  "$java/bin/jar" tf "$jar" | grep -q '\.fatbin$' ||
    fail "the kernels jar holds no fat binary: build where nvcc is"
done
tar -C "$out" --owner=0 --group=0 -cf - "$name" | gzip -9 >"$out/$name.tar.gz"
bytes=$(wc -c <"$out/$name.tar.gz")
[ "$bytes" -le "$most_bytes" ] || fail "the archive has $bytes bytes, more than $most_bytes"
echo "gpu-check: $out/$name.tar.gz, $bytes bytes"
