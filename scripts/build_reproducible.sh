#!/usr/bin/env bash
# Builds so that the same sources give the same bytes wherever they lie: build_reproducible.sh [ARGUMENTS OF cargo build].
# Paths of the sources and of cargo's folder, and the time of day, do not get into what is built. HDF5 keeps the folder in
# which it was built, so that this is always the same one, unless CARGO_TARGET_DIR says otherwise. The toolchain is
# that of rust-toolchain.toml; another C compiler gives other bytes.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
cargo_home=${CARGO_HOME:-$HOME/.cargo}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-/tmp/isopleth-reproducible}
# The last word wins, so that a target folder within the sources keeps its name.
export RUSTFLAGS="--remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$here=/isopleth --remap-path-prefix=$CARGO_TARGET_DIR=/target"
# HDF5, NetCDF, SQLite and the allocator are C: messages of theirs hold names of files. None of them lies in these sources, whose folder
# is not named here because HDF5 keeps its flags, too.
map="-ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$CARGO_TARGET_DIR=/target"
export CFLAGS="$map" CXXFLAGS="$map"
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
fi
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
exec cargo build --release --locked "$@"
