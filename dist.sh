#!/usr/bin/env bash
# Makes dist/undertone-VERSION-ARCH: the server with ONNX Runtime's library beside it, and the licences.
# It runs in any folder of any Linux with the same processor architecture and a C library no older than the
# one that is named at the end. Needs what the build needs, and objdump and strip (Debian package binutils).
set -euo pipefail
cd "$(dirname "$0")"

command -v objdump strip >/dev/null || {
  echo "dist.sh: objdump or strip is missing; install binutils" >&2
  exit 1
}

# The library is fetched, and nothing of where it lies on this machine is compiled in.
unset ORT_DYLIB_PATH
UNDERTONE_PORTABLE_BUILD=1 cargo build --release --locked --bin undertone

target=$(cargo metadata --no-deps --format-version 1 |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
arch=$(uname -m)
version=$("$target/release/undertone" --version | cut -d' ' -f2)
library=$(echo "$target"/onnxruntime-*-"$arch"/libonnxruntime.so.*)
folder=dist/undertone-$version-$arch

rm -rf "$folder"
mkdir -p "$folder/licences"
cp "$target/release/undertone" "$library" "$folder"
# Line tables are half of it; a panic names its line without them.
strip --strip-debug "$folder/undertone"
cp LICENSE "$folder/licences/undertone"
cp models/default/MODEL_CARD.md "$folder/licences/weights.md"
cp "${library%/*}/LICENSE" "$folder/licences/onnxruntime"
cp "${library%/*}/ThirdPartyNotices.txt" "$folder/licences/onnxruntime-third-party"
cargo tree --locked --package undertone --edges normal --prefix none --no-dedupe --format '{p} {l}' |
  sed -E 's@ \((proc-macro|/[^)]*)\)@@g' | sort -u >"$folder/licences/crates"

# The newest version of a set of symbols that one of the files asks for.
newest() {
  objdump -T "$folder/undertone" "$folder/${library##*/}" |
    grep -o "$1_[0-9.]*" | sort --unique --version-sort | tail -n 1
}
needs="$arch Linux with $(newest GLIBC), and libstdc++ with $(newest GLIBCXX)"
cat >"$folder/README.md" <<README
# undertone $version

    ./undertone serve
    ./undertone classify FILE...

Needs $needs. ONNX Runtime's library has to stay beside the executable, or in lib/ there.

licences/undertone is the program's own, licences/weights.md the model card with the licence of the weights,
licences/onnxruntime and onnxruntime-third-party are of the library, licences/crates lists what is linked in.
README

# As on another machine: elsewhere, with an empty environment, and without this build's library.
elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
cp "$folder"/undertone "$folder"/libonnxruntime.so.* "$elsewhere"
if grep -qF "${library%/*}" "$elsewhere/undertone"; then
  echo "dist.sh: the path of this machine's ONNX Runtime is compiled in" >&2
  exit 1
fi
(cd / && env -i "$elsewhere/undertone" classify "$OLDPWD/tests/audio/book.flac")

du -sh "$folder"
echo "needs $needs"
