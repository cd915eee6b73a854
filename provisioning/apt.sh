#!/usr/bin/env bash
# Installs the Debian packages of apt.txt that are missing, where it may; otherwise says in one line which to install.
# Exit status 0: nothing is missing any more; 3: something is, and has been named.
set -euo pipefail

list="$(dirname "$0")/apt.txt"
mapfile -t wanted < <(sed 's/#.*//; s/[[:space:]]//g; /^$/d' "$list")

if ! command -v dpkg-query >/dev/null; then
    echo "setup: this is not Debian; see that the programs of these packages are there: ${wanted[*]}" >&2
    exit 3
fi

missing=()
for package in "${wanted[@]}"; do
    status="$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)"
    [[ $status == "install ok installed" ]] || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

if [[ $(id -u) -eq 0 ]]; then
    as_root=(env)
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n env)
else
    echo "setup: please install what is missing, then try again: sudo apt install ${missing[*]}" >&2
    exit 3
fi

echo "setup: apt: ${missing[*]}"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
install() {
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}
# A machine that has just been set up has no package lists, an old one has stale ones: ask for new ones only where it is needed.
if ! { install || { "${as_root[@]}" apt-get update -q && install; }; } >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    echo "setup: apt could not install what is missing: sudo apt install ${missing[*]}" >&2
    exit 3
fi
