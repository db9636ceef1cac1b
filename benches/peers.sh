#!/bin/sh
# Measures a first backup, an unchanged one, one of the second day and a restore: Larder's (to sealed
# segments in a folder, without coding and network) beside restic's, in one run on one machine, so
# that the ratio says something whatever else the machine does. Read CPU seconds before wall time.
#
#   benches/peers.sh [CORPUS.PY]    default: ../shared/bench/corpus.py; or $CORPUS
#   WORK=DIR      where trees and repositories go (6 GB; default: a temporary folder, removed)
#   TREES=DIR     trees that corpus.py built before
#   PEERS=BINARY  the measured program, if it is built elsewhere; else cargo builds it
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
corpus=${1:-${CORPUS:-$here/../shared/bench/corpus.py}}
die() { printf 'peers.sh: %s\n' "$*" >&2; exit 1; }
for command in python3 restic; do
    command -v "$command" >/dev/null || die "$command is missing: apt-get install $command"
done
[ -f "$corpus" ] || die "no $corpus: name corpus.py as the argument"

if [ -z "${WORK:-}" ]; then
    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
fi
if [ -z "${PEERS:-}" ]; then
    (cd "$here" && cargo build --release -q -p larder-backup --example peers)
    PEERS=${CARGO_TARGET_DIR:-$here/target}/release/examples/peers
fi
trees=${TREES:-$WORK/trees}
[ -d "$trees/home" ] || python3 "$corpus" "$trees" >&2

# Runs a command; prints CPU seconds (user and system), wall seconds and peak RSS in MiB.
cat > "$WORK/measure.py" <<'PY'
import os, resource, sys, time
began = time.monotonic()
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ, file_actions=[
    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
_, status, used = os.wait4(child, 0)
if status:
    sys.exit(f"{sys.argv[2:]} failed: {status}")
print(f"{sys.argv[1]:<28}{used.ru_utime + used.ru_stime:8.2f}{time.monotonic() - began:8.2f}{used.ru_maxrss / 1024:8.0f}", end="")
PY
measure() { python3 "$WORK/measure.py" "$@"; }
size() { du -s -B1 "$1" | awk '{ printf "%8.0f\n", $1 / 1000000 }'; }

rm -rf "$WORK/larder" "$WORK/restic" "$WORK/now" "$WORK/out"
export RESTIC_PASSWORD=bench RESTIC_REPOSITORY="$WORK/restic" RESTIC_CACHE_DIR="$WORK/cache"
restic=$(command -v restic)
"$restic" init -q
warm() { find "$WORK/now/" -type f -exec cat {} + > /dev/null; }

printf '%-28s%8s%8s%8s%8s\n' '' 'CPU s' 'wall s' 'RSS MiB' 'MB kept'
larder() { measure "larder $1" "$PEERS" backup "$WORK/larder" "$WORK/now"; size "$WORK/larder/segments"; }
peer() { measure "restic $1" "$restic" backup -q "$WORK/now"; size "$WORK/restic"; }
rm -rf "$WORK/now"
mkdir "$WORK/now"
cp -a --sparse=auto "$trees/home" "$WORK/now/home"
sync; warm
larder 'first backup'; peer 'first backup'
larder 'unchanged'; peer 'unchanged'
python3 "$corpus" --apply-day2 "$WORK/now/home"
sync; warm
larder 'day 2'; peer 'day 2'
mkdir "$WORK/out"
measure 'larder restore' "$PEERS" restore "$WORK/larder" "$WORK/out/larder"; echo
measure 'restic restore' "$restic" restore -q latest --target "$WORK/out/restic"; echo
for peer in larder restic; do
    printf '%s: ' "$peer"
    python3 "$corpus" --compare "$WORK/now/home" "$WORK/out/$peer$WORK/now/home"
done
