#!/usr/bin/env bash
# image.sh: a container image for each program in dist/ (or $DIST), and the sums anew.
set -euo pipefail
cd "$(dirname "$0")/.."
DIST=${DIST:-dist}
commit=$(git rev-parse HEAD 2>/dev/null) && { [ -z "$(git status --porcelain)" ] || commit=$commit-dirty; export WANCTL_COMMIT=$commit; }
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo "${SOURCE_DATE_EPOCH:-0}")
export SOURCE_DATE_EPOCH
made=0
while read -r target _ _ _ _ architecture variant _; do
  case $target in ''|'#'*) continue ;; esac
  for program in "$DIST"/wanctl-*-"$target"; do
    [ -e "$program" ] || continue
    version=${program##*/wanctl-}; version=${version%-"$target"}
    [ "$variant" = - ] && suffix= || suffix=-$variant
    out=$DIST/wanctl-$version-image-$architecture$suffix.tar
    python3 cross/image.py "$program" "$out" "$architecture" "$variant" "$version"
    echo "$out" >&2; made=$((made + 1))
  done
done < cross/targets
[ $made -gt 0 ] || { echo "image.sh: no program in $DIST; make dist builds them" >&2; exit 1; }
(cd "$DIST" && find . -maxdepth 1 -type f -name 'wanctl-*' -printf '%P\n' | LC_ALL=C sort | xargs sha256sum > SHA256SUMS)
