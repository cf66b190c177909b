#!/usr/bin/env bash
# Builds all tests and runs them, in two rows at a time: those that mostly wait for real time to pass, and the others,
# which compute on all cores. One program after the other, as `cargo test` does, takes as long as both rows together.
set -euo pipefail
cd "$(dirname "$0")/.."

# In real time, and hardly at work.
WAITING="demo check process hostile browser"

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"${CARGO:-cargo}" test --workspace --all-targets --features roots --no-run 2>&1 | tee "$out/build" >&2

sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$out/build" | while read -r program; do
  name=$(basename "$program" | sed 's/-[0-9a-f]*$//')
  case "$program" in /*) ;; *) program=$PWD/$program ;; esac
  row=working
  case " $WAITING " in *" $name "*) row=waiting ;; esac
  echo "$name $program" >>"$out/$row"
done
[ -s "$out/working" ] && [ -s "$out/waiting" ] || { echo "no tests were found" >&2; exit 1; }

# One program, in the directory of its package as under cargo. Tells what a program said when it has ended, in one piece.
run() {
  local directory=$PWD begin=$SECONDS code=0
  if [ "$1" = wanctl_hal ] || [ -e "hal/tests/$1.rs" ]; then directory=$PWD/hal; fi
  (cd "$directory" && "$2") >"$out/$1.said" 2>&1 || code=$?
  { echo "---- $1: $((SECONDS - begin)) s, exit code $code"; cat "$out/$1.said"; } >"$out/$1.told"
  flock "$out" cat "$out/$1.told"
  [ "$code" = 0 ] || echo "$1" >>"$out/failed"
}

row() { while read -r name program; do run "$name" "$program" </dev/null; done <"$out/$1"; }
row waiting &
row working
wait $!
[ ! -e "$out/failed" ] || { echo "FAILED: $(tr '\n' ' ' <"$out/failed")" >&2; exit 1; }
