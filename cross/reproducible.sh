#!/usr/bin/env bash
# reproducible.sh [TARGET...]: builds the commit twice, in two directories of different names with nothing in common but the
# toolchain, and compares everything, images included, byte by byte.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -z "$(git status --porcelain)" ] || { echo "reproducible.sh: the work tree has changes; only a commit can be built twice" >&2; exit 1; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
for place in one another/and-deeper; do
  mkdir -p "$work/$place"
  git clone -q . "$work/$place/source"
  (cd "$work/$place/source" && CARGO_TARGET_DIR=$work/$place/built DIST=$work/$place/dist cross/dist.sh "$@" && DIST=$work/$place/dist cross/image.sh)
  rm -rf "$work/$place/built"
done
diff -r "$work/one/dist" "$work/another/and-deeper/dist" || { echo "NOT reproducible" >&2; exit 1; }
echo "the same bytes from both places:"
cat "$work/one/dist/SHA256SUMS"
