#!/usr/bin/env bash
# Installs what is missing: setup.sh build|tests|deploy|deny|peers|skill CACHE. Says what, and how to do it by
# hand where it may not. Quick where nothing is missing.
set -euo pipefail

what=$1
cache=$2
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$cache"

say() { printf 'setup: %s\n' "$*" >&2; }

# Debian packages, where we are root; otherwise the command to run.
debian() {
  local missing=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing Debian packages: ${missing[*]}"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null
  else
    say "missing: ${missing[*]}. By hand: sudo apt-get install ${missing[*]}"
    return 1
  fi
}

# A virtual environment with what a requirements file says, made anew when the file changes.
python_environment() {
  local place=$1 requirements=$2
  local stamp="$place/.requirements"
  if [ -x "$place/bin/python" ] && cmp -s "$requirements" "$stamp"; then return; fi
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then debian python3-venv; fi
  say "installing $(grep -vc '^#' "$requirements") Python packages into $place"
  [ -x "$place/bin/python" ] || python3 -m venv "$place"
  "$place/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
  cp "$requirements" "$stamp"
}

# Prometheus' checker alone, out of its package: no service, no pages.
promtool() {
  local place="$cache/tools/bin/promtool"
  [ -x "$place" ] && return
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  say "fetching promtool, 19 MB"
  local folder
  folder=$(mktemp -d)
  chmod 755 "$folder"
  mkdir -p "$cache/tools/bin"
  (cd "$folder" && apt-get download -qq prometheus >/dev/null 2>&1 && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool) \
    && mv "$folder/usr/bin/promtool" "$place"
  local done=$?
  rm -rf "$folder"
  return $done
}

case $what in
  build)
    for tool in cargo gcc g++ make python3; do
      if ! command -v "$tool" >/dev/null; then
        say "missing: $tool. By hand: sudo apt-get install build-essential python3; Rust: https://rustup.rs"
        exit 1
      fi
    done
    # The HDF5 library wants CMake 3.26; Debian 12 has 3.25.
    python_environment "$cache/tools" "$here/scripts/cmake.txt"
    ;;
  tests)
    debian netcdf-bin gdal-bin cdo || say "without them the judges of NetCDF files fail"
    debian postgresql || say "without PostgreSQL its test is skipped"
    python_environment "$cache/python" "$here/tests/judges/requirements.txt"
    python_environment "$cache/http" "$here/tests/judges/http.txt" || say "without schemathesis its test is skipped"
    promtool || say "without promtool its test is skipped"
    ;;
  deploy)
    python_environment "$cache/deploy" "$here/tests/judges/deploy.txt" || say "without them some files of deploy/ are not checked"
    promtool || say "without promtool the alert rules are not checked"
    ;;
  deny)
    if ! PATH="$cache/tools/bin:$PATH" cargo deny --version >/dev/null 2>&1; then
      say "building cargo-deny, once"
      cargo install --quiet --locked cargo-deny --version 0.20.2 --root "$cache/tools"
    fi
    ;;
  peers)
    python_environment "$cache/peers" "$here/benches/peers/requirements.txt"
    ;;
  skill)
    python_environment "$cache/skill" "$here/benches/skill/requirements.txt"
    ;;
  *)
    say "unknown: $what"
    exit 2
    ;;
esac
