#!/bin/sh
# Half an hour of random faults among seven validators: killed, frozen, wiped, and, as root, cut off. The tests
# hold a minute of it.
#   tests/soak.sh [SECONDS] [SEED]
set -eu
cd "$(dirname "$0")/.."
export LARDER_SOAK="${1:-1800}"
[ $# -lt 2 ] || export LARDER_SOAK_SEED="$2"
cargo build --workspace --bins --tests --locked
exec cargo test --workspace --locked --test e2e -- --nocapture random_faults_of_two_of_seven
