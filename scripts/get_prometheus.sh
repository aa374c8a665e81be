#!/usr/bin/env bash
# Put Debian's prometheus and promtool into build/prometheus, without root and without installing.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
place=build/prometheus
[ -x "$place/prometheus" ] && [ -x "$place/promtool" ] && exit 0
say() { echo "make prometheus: $*; tests parse the queries without it" >&2; exit 1; }
command -v apt-get >/dev/null && command -v dpkg >/dev/null || say "needs apt-get and dpkg (Debian or Ubuntu)"
mkdir -p "$place/unpacked/lists/partial" "$place/unpacked/cache/archives/partial"
cd "$place/unpacked" || exit 1
wait=(-o Acquire::Retries=0 -o Acquire::http::Timeout=15 -o Acquire::https::Timeout=15)
if ! apt-get "${wait[@]}" download -qq prometheus 2>/dev/null; then
    # The system's list of packages may be missing; this one is our own, so nobody needs root.
    own=("${wait[@]}" -o "Dir::State::lists=$PWD/lists" -o "Dir::Cache=$PWD/cache")
    apt-get "${own[@]}" update -qq 2>/dev/null && apt-get "${own[@]}" download -qq prometheus 2>/dev/null ||
        say "no package called prometheus could be downloaded"
fi
dpkg -x prometheus_*.deb . || say "the package could not be unpacked"
mv usr/bin/prometheus usr/bin/promtool .. && cd .. && rm -rf unpacked || exit 1
./prometheus --version 2>&1 | head -1
