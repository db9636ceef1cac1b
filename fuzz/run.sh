#!/bin/sh
# fuzz/run.sh SECONDS [TARGET...]   libFuzzer over every target, or over those named, SECONDS each.
# Needs cargo-fuzz and a C++ compiler: cargo install cargo-fuzz; apt-get install g++.
# What it finds lies in fuzz/libfuzzer/artifacts/TARGET; what it has learnt in .../corpus/TARGET.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET...]}
shift
# libFuzzer's instrumentation is a nightly option that stable has too, if it is told so.
RUSTC_BOOTSTRAP=1
export RUSTC_BOOTSTRAP

cd "$here/libfuzzer"
cargo run --quiet --manifest-path ../Cargo.toml --example seeds corpus
[ "$#" -gt 0 ] || set -- $(sed -n 's/^name = "\([a-z0-9_]*\)"$/\1/p' Cargo.toml)
cargo fuzz build --fuzz-dir .

failed=
for target in "$@"; do
    echo "== $target"
    # Inputs of at most 64 KiB must not make anything allocate more than 64 MiB at once.
    cargo fuzz run --fuzz-dir . "$target" -- -max_total_time="$seconds" -max_len=65536 \
        -malloc_limit_mb=64 -rss_limit_mb=1024 -timeout=20 -verbosity=0 -print_final_stats=1 ||
        failed="$failed $target"
done
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
