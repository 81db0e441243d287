#!/usr/bin/env bash
# Is the program the same bytes wherever and whenever it is built? Builds the last commit twice, from two folders of different
# names, each time from nothing, and compares: half an hour to an hour of two cores.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
target=$folder/target
trap 'rm -rf "$folder"' EXIT

for checkout in one and/another; do
  git clone --quiet "$here" "$folder/$checkout"
  CARGO_TARGET_DIR=$target "$folder/$checkout/scripts/build_reproducible.sh"
  cp "$target/release/isopleth" "$folder/isopleth-${checkout##*/}"
  rm -rf "$target"
done
sha256sum "$folder"/isopleth-*
cmp "$folder/isopleth-one" "$folder/isopleth-another"
echo "both builds are the same"
