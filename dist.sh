#!/usr/bin/env bash
# Makes the folder dist/undertone-VERSION-ARCH: the server with ONNX Runtime's library beside it, and the licences.
# The folder runs on any Linux with the same processor architecture and with a C library of at least the version that
# is printed at the end. The script needs the tools of the build, and objdump and strip (Debian package binutils).
set -euo pipefail
cd "$(dirname "$0")"

for tool in objdump strip; do
  command -v "$tool" >/dev/null || {
    echo "dist.sh: $tool is missing; install binutils" >&2
    exit 1
  }
done

# Copies the licence files of each linked crate to FOLDER/crates/NAME-VERSION. FOLDER/crates.txt lists all these
# crates, and FOLDER/crates-without-licence-file.txt lists those without a licence file in their package.
copy_crate_licences() {
  local platform
  platform=$(rustc -vV | sed -n 's/^host: //p')
  cargo metadata --locked --format-version 1 --filter-platform "$platform" >"$1/metadata.json"
  # The metadata include the features of the whole workspace. The tree contains only those of the server.
  cargo tree --locked --package undertone --edges normal --prefix none --no-dedupe --format '{p}' |
    python3 -c '
import json, pathlib, re, shutil, sys

folder = pathlib.Path(sys.argv[1])
packages = json.loads((folder / "metadata.json").read_text())["packages"]
packages = {(package["name"], package["version"]): package for package in packages if package["source"]}
linked = {tuple(line.split()[:2]) for line in sys.stdin if line.strip()}
linked = [packages[name, version[1:]] for name, version in sorted(linked) if name != "undertone"]
licence = re.compile(r"(un)?licen[cs]e|copying|notice|copyright", re.IGNORECASE)
everyone, without = [], []
for package in linked:
    name = package["name"] + "-" + package["version"]
    crate = pathlib.Path(package["manifest_path"]).parent
    named = crate / (package["license_file"] or "LICENSE")
    # Third-party code within a crate has its licence in a subfolder.
    files = [path for path in crate.rglob("*") if path.is_file() and (licence.match(path.name) or path == named)]
    for file in files:
        copy = folder / "crates" / name / file.relative_to(crate)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    line = " ".join([package["name"], package["version"], package["license"] or "see its file"]) + "\n"
    everyone.append(line)
    if not any(file.parent == crate or file == named for file in files):
        without.append(line)
(folder / "crates.txt").write_text("".join(everyone))
(folder / "crates-without-licence-file.txt").write_text("".join(without))
print(f"{len(everyone)} crates are linked in; {len(without)} of them have no licence file:")
print("".join("  " + line for line in without), end="")
' "$1"
  rm "$1/metadata.json"
}

# The build fetches the library, and does not compile in its path on this machine.
unset ORT_DYLIB_PATH
UNDERTONE_PORTABLE_BUILD=1 cargo build --release --locked --bin undertone

target=$(cargo metadata --no-deps --format-version 1 |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
arch=$(uname -m)
version=$("$target/release/undertone" --version | cut -d' ' -f2)
# Libraries of earlier builds may be beside the one that this build fetched.
onnxruntime=$(sed -n 's/^const VERSION: &str = "\(.*\)";$/\1/p' build/onnxruntime.rs)
library=$target/onnxruntime-$onnxruntime-$arch/libonnxruntime.so.$onnxruntime
[ -f "$library" ] || {
  echo "dist.sh: $library is not there; build/onnxruntime.rs should have fetched it" >&2
  exit 1
}
folder=dist/undertone-$version-$arch

rm -rf "$folder"
mkdir -p "$folder/licences"
cp "$target/release/undertone" "$library" "$folder"
# Line tables are half of the executable's size. A panic names its line without them.
strip --strip-debug "$folder/undertone"
cp LICENSE "$folder/licences/undertone"
cp models/default/MODEL_CARD.md "$folder/licences/weights.md"
cp "${library%/*}/LICENSE" "$folder/licences/onnxruntime"
cp "${library%/*}/ThirdPartyNotices.txt" "$folder/licences/onnxruntime-third-party"
copy_crate_licences "$folder/licences"

# Prints the newest version of a set of symbols that one of the files requires.
newest() {
  objdump -T "$folder/undertone" "$folder/${library##*/}" |
    grep -o "$1_[0-9.]*" | sort --unique --version-sort | tail -n 1
}
without=$(wc -l <"$folder/licences/crates-without-licence-file.txt")
needs="$arch Linux with $(newest GLIBC), and libstdc++ with $(newest GLIBCXX)"
cat >"$folder/README.md" <<README
# undertone $version

    ./undertone serve
    ./undertone classify FILE...

Requires $needs. ONNX Runtime's library must stay beside the executable, or in the folder lib/ beside it.

The folder licences/ contains:

- undertone: the licence of the program
- weights.md: the model card, with the licence of the weights
- onnxruntime and onnxruntime-third-party: the licences of ONNX Runtime's library
- crates.txt: the linked crates
- crates/: the licence files of the linked crates
- crates-without-licence-file.txt: the $without linked crates without a licence file in their package, with their SPDX
  identifiers
README

# Tests the folder as on another machine: in another place, with an empty environment, without this build's library.
elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
cp "$folder"/undertone "$folder"/libonnxruntime.so.* "$elsewhere"
if grep -qF "${library%/*}" "$elsewhere/undertone"; then
  echo "dist.sh: the path of this machine's ONNX Runtime is compiled in" >&2
  exit 1
fi
(cd / && env -i "$elsewhere/undertone" classify "$OLDPWD/tests/audio/book.flac")

du -sh "$folder"
echo "requires $needs"
