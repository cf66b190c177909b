#!/bin/sh
# The test on a real queue with the real CAKE, on a kernel that has it: user-mode Linux, booted on
# this machine's own file tree, as root, without virtualisation. `make cake` calls it.
#   uml.sh TEST-PROGRAM [ARGUMENTS]       outside: boots, waits, and passes on output and exit code
#   (as process 1 inside)                 makes the kernel ready and runs the program
set -u

if [ $$ != 1 ]; then
    here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    : >"$work/output"
    program=$(realpath "$1")
    shift
    printf '%s\n' "$program" "$@" >"$work/command"
    # The kernel passes what it does not know to process 1 as its environment.
    timeout -k 5 "${WANCTL_UML_SECONDS:-600}" linux.uml root=/dev/root rootfstype=hostfs rootflags=/ rw \
        init="$here/uml.sh" mem=768M con=null con0=null quiet WANCTL_UML="$work" </dev/null >"$work/boot" 2>&1 || true
    cat "$work/output"
    [ -s "$work/code" ] || { echo "user-mode Linux ended early:" >&2; tail -n 20 "$work/boot" >&2; exit 1; }
    exit "$(cat "$work/code")"
fi

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /run
mkdir -p /run/netns
ip link set lo up
modules=/usr/lib/uml/modules/$(uname -r)
for module in veth tun sch_tbf sch_htb sch_cake cls_u32; do
    file=$(find "$modules" -name "$module.ko*" | head -n 1)
    [ -z "$file" ] || insmod "$file" 2>/dev/null || true
done
mkdir -p /dev/net
[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
code=1
set --
while IFS= read -r argument; do set -- "$@" "$argument"; done <"$WANCTL_UML/command"
WANCTL_SHAPER=cake "$@" >"$WANCTL_UML/output" 2>&1 && code=0 || code=$?
echo "$code" >"$WANCTL_UML/code"
sync
echo o >/proc/sysrq-trigger
sleep 10
