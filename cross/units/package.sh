#!/bin/sh
# Packs a built program for boards: package.sh deb|tar PROGRAM ARCHITECTURE DIRECTORY
#   deb   a Debian package, ARCHITECTURE being Debian's word (amd64, arm64, armhf, armel)
#   tar   a tar for OpenWrt, to be unpacked in /, with an init script for procd
# Needs ar (binutils), tar, gzip. The same program gives the same bytes; SOURCE_DATE_EPOCH dates the
# files (default: 0).
set -eu
kind=$1 program=$2 architecture=$3 out=$4
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$(dirname "$here")")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out" "$work/data/usr/bin" "$work/data/etc/wanctl"
umask 022

# Files in order of name, of root, without a date of their own.
pack() {
	tar --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-0}" -C "$1" -cf - . | gzip -9n
}

install -m 755 "$program" "$work/data/usr/bin/wanctl"
install -m 644 "$here/wanctl.toml" "$work/data/etc/wanctl/wanctl.toml"

if [ "$kind" = tar ]; then
	install -D -m 755 "$here/openwrt/wanctl.init" "$work/data/etc/init.d/wanctl"
	# procd has no credentials, and OpenWrt's /var is lost at every start.
	sed -i 's|^# As the systemd.*|# Root'"'"'s, mode 0600.|; s|/run/credentials/wanctl.service/|/etc/wanctl/|' "$work/data/etc/wanctl/wanctl.toml"
	printf '\n[state]\ndirectory = "/etc/wanctl/state"\n\n[daemon]\nuser = "nobody"\n' >>"$work/data/etc/wanctl/wanctl.toml"
	pack "$work/data" >"$out/wanctl-$version-openwrt-$architecture.tar.gz"
	exit
fi
[ "$kind" = deb ] || { echo "package.sh: deb or tar, not $kind" >&2; exit 2; }

doc=$work/data/usr/share/doc/wanctl
mkdir -p "$doc/docs" "$work/control"
install -D -m 644 "$here/wanctl.service" "$work/data/lib/systemd/system/wanctl.service"
install -m 644 "$root/README.md" "$root/CHANGELOG.md" "$doc/"
install -m 644 "$root/LICENSE" "$doc/copyright"
for page in configuration routeros install; do
	[ ! -f "$root/docs/$page.md" ] || install -m 644 "$root/docs/$page.md" "$doc/docs/"
done
install -D -m 644 -t "$doc/routeros" "$root"/cross/routeros/*.rsc
for script in postinst prerm postrm; do install -m 755 "$here/$script" "$work/control/"; done
echo /etc/wanctl/wanctl.toml >"$work/control/conffiles"
# A static program needs nothing.
needs=
if LC_ALL=C grep -aq 'libc\.so\.6' "$program"; then needs='Depends: libc6 (>= 2.34), libgcc-s1'; fi
{
	cat <<CONTROL
Package: wanctl
Version: $version
Architecture: $architecture
Maintainer: the authors of wanctl <wanctl@localhost>
Installed-Size: $(du -sk --apparent-size "$work/data" | cut -f 1)
Section: net
Priority: optional
CONTROL
	[ -z "$needs" ] || echo "$needs"
	cat <<CONTROL
Description: keeps an internet line free of bufferbloat
 Measures delay on each line every 50 ms, decides what rate the CAKE queues of
 a MikroTik router may have, and sets it over the router's REST API.
CONTROL
} >"$work/control/control"
(cd "$work/data" && find . -type f -printf '%P\n' | LC_ALL=C sort | xargs md5sum) >"$work/control/md5sums"

pack "$work/control" >"$work/control.tar.gz"
pack "$work/data" >"$work/data.tar.gz"
echo 2.0 >"$work/debian-binary"
file=$(cd "$out" && pwd)/wanctl_${version}_$architecture.deb
rm -f "$file"
(cd "$work" && ar rcD "$file" debian-binary control.tar.gz data.tar.gz)
