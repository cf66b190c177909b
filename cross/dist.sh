#!/usr/bin/env bash
# dist.sh: the release files, in dist/ (or $DIST): per target the program and the list of what is in it, and the sums.
#
#   cross/dist.sh [TARGET...]     default: all of cross/targets
#
# The same commit gives the same bytes, wherever it is built (cross/reproducible.sh checks that): no path, no time and no
# name of this machine goes in. With WANCTL_RUSTUP=1 the toolchain on PATH is used instead of our own (its targets must be
# installed, and a C compiler be set for ring); then the bytes are that toolchain's.
set -euo pipefail
cd "$(dirname "$0")/.."
DIST=${DIST:-dist}
PREFIX=${WANCTL_CROSS:-$HOME/.cache/wanctl-cross}
die() { echo "dist.sh: $*" >&2; exit 1; }

# What this is. Outside of a checkout (a source archive), WANCTL_COMMIT and SOURCE_DATE_EPOCH may say it.
if commit=$(git rev-parse HEAD 2>/dev/null); then
  [ -z "$(git status --porcelain)" ] || commit=$commit-dirty
  export WANCTL_COMMIT=$commit SOURCE_DATE_EPOCH
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
else
  export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0}
fi

targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(awk '!/^#/ && NF {print $1}' cross/targets)
if [ "${WANCTL_RUSTUP:-}" != 1 ]; then
  cross/toolchain.sh "${targets[@]}"
  # shellcheck disable=SC1091
  . "$PREFIX/env.sh"
fi
version=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json,sys; print(next(p["version"] for p in json.load(sys.stdin)["packages"] if p["name"] == "wanctl"))')

# Paths in panic messages begin with these instead; of ring's C files likewise.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
# A program that ends with a panic never unwinds, and needs no tables for it (100 kB).
flags=(-Cforce-unwind-tables=no)
# Every pointer in constant data is a relocation of a program that may lie anywhere (ASLR); packed, they take 70 kB less of
# the file and of memory. rustup's start files may not know them.
[ "${WANCTL_RUSTUP:-}" = 1 ] || flags+=(-Clink-arg=--pack-dyn-relocs=relr)
for map in "$PWD=/wanctl" "$CARGO_TARGET_DIR=/target" "$cargo_home=/cargo" "$PREFIX=/toolchain"; do
  flags+=("--remap-path-prefix=$map")
done
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS
export CFLAGS="-ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$CARGO_TARGET_DIR=/target -g0 -fno-asynchronous-unwind-tables -fno-unwind-tables"

is_static() { # FILE TARGET
  local machine
  case $2 in x86_64-*) machine='X86-64' ;; aarch64-*) machine='AArch64' ;; arm*) machine='ARM' ;; *) machine='unknown' ;; esac
  readelf -hW "$1" | grep -q "Machine:.*$machine" || die "$1 is not for $machine"
  ! readelf -dW "$1" | grep -q NEEDED || die "$1 needs shared libraries"
  ! readelf -lW "$1" | grep -q INTERP || die "$1 wants an interpreter"
  readelf -SW "$1" | grep -q ' \.text' || die "$1 has no code"
  ! readelf -SW "$1" | grep -q ' \.symtab' || die "$1 is not stripped"
}

# Without backtraces and symbols, a panic must still say where it happened.
says_where() { # TARGET
  local program=$CARGO_TARGET_DIR/$1/panics said linker
  linker=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$1")_LINKER; linker=${!linker:-}
  rustc --edition 2024 --target "$1" "${flags[@]}" ${linker:+"-Clinker=$linker"} -Cpanic=abort -Copt-level=s -Clto=fat -Cstrip=symbols tests/image/panics.rs -o "$program"
  # A shell of its own, so that the abort isn't announced in ours.
  said=$(bash -c '"$0" 2>&1' "$program" 2>&1 || true)
  grep -q 'panicked at tests/image/panics.rs:5' <<<"$said" || die "a panic does not say where: $said"
}

mkdir -p "$DIST"
printf '%-34s %9s  %s\n' target bytes 'build, s' >&2
for t in "${targets[@]}"; do
  began=$SECONDS
  cargo build --locked --quiet --profile dist --no-default-features --target "$t" || die "$t can't be built"
  out=$DIST/wanctl-$version-$t
  cp "$CARGO_TARGET_DIR/$t/dist/wanctl" "$out"
  is_static "$out" "$t"
  case $t in "$(uname -m)"-*) says_where "$t" ;; esac
  cargo metadata --locked --format-version 1 --no-default-features --filter-platform "$t" | python3 cross/sbom.py "$out" "$t" > "$out.cdx.json"
  printf '%-34s %9s  %s\n' "$t" "$(stat -c %s "$out")" "$((SECONDS - began))" >&2
done
(cd "$DIST" && find . -maxdepth 1 -type f -name 'wanctl-*' -printf '%P\n' | LC_ALL=C sort | xargs sha256sum > SHA256SUMS)
