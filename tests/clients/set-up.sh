#!/bin/sh
# set-up.sh DIR   puts what the clients in this folder use into DIR: node_modules and the Python
#                 environment venv. Does nothing if they are there and up to date.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
into=${1:?usage: set-up.sh DIR}

wanted=$(
    cat "$here/package-lock.json" "$here/requirements.txt" "$here/set-up.sh"
    node --version
    python3 --version
)
[ "$(cat "$into/stamp" 2>/dev/null || :)" != "$wanted" ] || exit 0

# Registries have their moments.
again() { "$@" || "$@" || "$@"; }

printf 'larder: fetching the packages of the Node and Python clients\n' >&2
rm -rf "$into"
mkdir -p "$into"
cp "$here/package.json" "$here/package-lock.json" "$into"
# No scripts: two packages would compile what they do without.
(cd "$into" && again npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2
python3 -m venv "$into/venv"
again "$into/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
    --requirement "$here/requirements.txt" >&2
# Last, because it says that the rest is whole.
printf '%s\n' "$wanted" >"$into/stamp"
