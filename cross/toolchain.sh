#!/usr/bin/env bash
# toolchain.sh: a Rust toolchain with all our musl targets, from Debian's packages and pip alone.
#
#   cross/toolchain.sh [TARGET...]     default: all of cross/targets; run as root on Debian 12, amd64
#
# Where `rustup target add` works this is not needed; this way needs nothing but the two package archives, and says to the
# byte what a release was built with. Under $PREFIX it lays out rustc and cargo (Debian security's rustc-web), for each target
# a std built from the packaged sources, musl's start files and libc.a from the musl-dev of the target's architecture (with
# an apt state of its own: no foreign architecture is added to yours), a libunwind.a, and zig as the C compiler for ring.
# Afterwards `. $PREFIX/env.sh && cargo build --target ...` works. What is there already is not made again.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
PREFIX=${WANCTL_CROSS:-$HOME/.cache/wanctl-cross}
ZIG_VERSION=0.17.1
RUST_VERSION=1.96.0+dfsg1-1~deb12u2
HOST=x86_64-unknown-linux-gnu
step() { printf '[%4ss] %s\n' "$SECONDS" "$*" >&2; }
die() { echo "toolchain.sh: $*" >&2; exit 1; }

[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || die "needs Debian on amd64; elsewhere: cross build (cross/README.md)"
export DEBIAN_FRONTEND=noninteractive
PACKAGES="libllvm22 libgit2-1.5 lld-22 gcc libc6-dev binutils qemu-user-static file python3 python3-venv python3-pip"
# shellcheck disable=SC2086
if ! dpkg -s $PACKAGES >/dev/null 2>&1; then
  step "Debian packages"
  [ "$(id -u)" = 0 ] || die "missing packages, and no root to install them: apt-get install $PACKAGES"
  apt-get update -qq && apt-get install -y -qq --no-install-recommends $PACKAGES >/dev/null
fi

mkdir -p "$PREFIX"/{debs,bin,libexec}; cd "$PREFIX"
if [ ! -e libexec/rustc ]; then
  known() { apt-cache madison rustc-web 2>/dev/null | grep -qF " $RUST_VERSION "; }
  known || { [ "$(id -u)" = 0 ] && apt-get update -qq; }
  if ! known; then
    RUST_VERSION=$(apt-cache policy rustc-web | sed -n 's/^ *Candidate: //p')
    case $RUST_VERSION in ''|'(none)') die "Debian's archives have no rustc-web" ;; esac
    echo "toolchain.sh: the pinned compiler is gone from Debian's archive; taking $RUST_VERSION: other bytes than the release's" >&2
  fi
  step "rustc, cargo and the sources of std $RUST_VERSION (Debian security)"
  minor=$(cut -d. -f1,2 <<<"$RUST_VERSION")
  (cd debs && for p in rustc-web cargo-web rust-web-src libstd-rust-web-dev "libstd-rust-web-$minor"; do
     apt-get download -qq -o APT::Sandbox::User=root "$p=$RUST_VERSION"
   done)
  for d in debs/*.deb; do dpkg -x "$d" unpacked; done
  rm -rf lib src; mv unpacked/usr/lib unpacked/usr/src .
  mv lib/x86_64-linux-gnu/librustc_driver-*.so lib/
  for b in rustdoc cargo rustc; do               # the driver's library is not where ld.so looks
    printf '#!/bin/sh\nexport LD_LIBRARY_PATH=%s/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\nexec %s/libexec/%s "$@"\n' "$PREFIX" "$PREFIX" "$b" > "bin/$b"
    chmod +x "bin/$b"; mv "unpacked/usr/bin/$b" libexec/
  done
  rm -rf unpacked
  mkdir -p lib/rustlib/$HOST/bin/gcc-ld          # where rustc looks for rust-lld
  ln -sf /usr/lib/llvm-22/bin/lld lib/rustlib/$HOST/bin/rust-lld
  ln -sf /usr/lib/llvm-22/bin/ld.lld lib/rustlib/$HOST/bin/gcc-ld/ld.lld
fi
export PATH="$PREFIX/bin:$PATH"
# rustup's variables would bring in the other toolchain.
unset RUSTUP_TOOLCHAIN RUSTC RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET CARGO_TARGET_DIR RUSTC_WRAPPER || true

ZIG=$PREFIX/zig/ziglang/zig
if [ ! -e "$ZIG" ]; then
  step "zig $ZIG_VERSION (pip), the C compiler"
  python3 -m venv venv
  venv/bin/pip install -q --disable-pip-version-check --no-deps --target zig "ziglang==$ZIG_VERSION"
fi
export ZIG_GLOBAL_CACHE_DIR="$PREFIX/zig-cache" ZIG_LOCAL_CACHE_DIR="$PREFIX/zig-cache"

fetch_musl() { # ARCH
  local a=$1 s=$PREFIX/apt-$1 site o; [ -e "$PREFIX/musl-$a" ] && return
  mkdir -p "$s"/{lists/partial,cache/archives/partial}; : > "$s/status"
  site=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 'Component: main' 'Created-By: Packages' | head -1)
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s bookworm main\n' "$site" > "$s/sources.list"
  o="-qq -o APT::Architecture=$a -o APT::Architectures=$a -o Dir::State=$s -o Dir::State::lists=$s/lists
     -o Dir::State::status=$s/status -o Dir::Cache=$s/cache -o APT::Sandbox::User=root
     -o Dir::Etc::sourcelist=$s/sources.list -o Dir::Etc::sourceparts=/dev/null"
  # shellcheck disable=SC2086
  apt-get $o update && (cd debs && apt-get $o download musl-dev)
  dpkg -x debs/musl-dev_*_"$a".deb "musl-$a"; rm -rf "$s"
}

compiler() { # TARGET ZIG-TARGET ZIG-CPU: wrappers; cc-rs passes Rust's name of the target, which zig can't read
  cat > "bin/$1-cc" <<W
#!/bin/bash
a=(); for x in "\$@"; do case \$x in --target=*|-target=*|-march=*|-mfloat-abi=*) ;; *) a+=("\$x") ;; esac; done
export ZIG_GLOBAL_CACHE_DIR=$PREFIX/zig-cache ZIG_LOCAL_CACHE_DIR=$PREFIX/zig-cache
exec $ZIG cc -target $2 -mcpu=$3 -fno-sanitize=all "\${a[@]}"
W
  printf '#!/bin/sh\nexec %s ar "$@"\n' "$ZIG" > "bin/$1-ar"; chmod +x bin/"$1"-{cc,ar}
}

start_files() { # TARGET ARCH LIBDIR SELF-CONTAINED
  local work=$PREFIX/work-$1 from=musl-$2/usr/lib/$3 unwind=$PREFIX/zig/ziglang/lib/libunwind lib o s x
  fetch_musl "$2"; mkdir -p "$work"
  cp "$from"/{crt1.o,rcrt1.o,Scrt1.o,crti.o,crtn.o,libc.a} "$4/"
  for lib in m pthread rt dl util xnet resolv crypt; do [ ! -e "$from/lib$lib.a" ] || cp "$from/lib$lib.a" "$4/"; done
  echo '/* musl runs .init_array itself: nothing to do here */' > "$work/empty.c"
  "bin/$1-cc" -c -g0 "$work/empty.c" -o "$4/crtbegin.o"
  for o in crtbeginS crtend crtendS crtbeginT; do cp "$4/crtbegin.o" "$4/$o.o"; done
  for s in libunwind.cpp Unwind-EHABI.cpp UnwindLevel1.c UnwindLevel1-gcc-ext.c UnwindRegistersRestore.S UnwindRegistersSave.S; do
    case $s in *.cpp) x="-std=c++17 -fno-exceptions -fno-rtti -nostdinc++" ;; *.c) x="-std=c99 -fexceptions" ;; *) x= ;; esac
    # shellcheck disable=SC2086
    "bin/$1-cc" -Os -g0 -fPIC -funwind-tables -fvisibility=hidden -DNDEBUG -D_LIBUNWIND_IS_NATIVE_ONLY \
      -ffile-prefix-map="$PREFIX"=/toolchain -I"$unwind/include" -I"$unwind/src" $x -c "$unwind/src/$s" -o "$work/$s.o"
  done
  "bin/$1-ar" crsD "$4/libunwind.a" "$work"/*.o
  rm -rf "$work"
}

# The start file that applies packed relocations (dist.sh): of zig's musl, because Debian's, 1.2.3, knows only unpacked ones.
# It is linked with Debian's libc.a, and calls nothing of it but __libc_start_main.
start_packed() { # TARGET SELF-CONTAINED
  local musl=$PREFIX/zig/ziglang/lib/libc/musl arch=${1%%-*}; case $arch in arm*) arch=arm ;; esac
  "bin/$1-cc" -c -std=c99 -ffreestanding -Os -g0 -fPIC -w -fno-stack-protector -fno-asynchronous-unwind-tables -fno-unwind-tables \
    -D_XOPEN_SOURCE=700 -I"$musl/arch/$arch" -I"$musl/arch/generic" -I"$musl/src/include" -I"$musl/src/internal" \
    -I"$musl/include" "$musl/crt/rcrt1.c" -o "$2/rcrt1.o"
  : > "$2/packed"
}

standard_library() { # TARGET LIBRARIES
  local work=$PREFIX/std-build upper; mkdir -p "$work/src"
  printf '[package]\nname = "stdlib-dummy"\nversion = "0.0.0"\nedition = "2021"\n[lib]\n[workspace]\n[profile.release]\nopt-level = "s"\ndebug = false\npanic = "abort"\n' > "$work/Cargo.toml"
  : > "$work/src/lib.rs"
  upper=$(tr a-z- A-Z_ <<<"$1")
  # For panic = "abort" only, without unwind tables and the printing of backtraces (320 kB in all): in a stripped program
  # there is nothing to print. A panic still says where.
  # Bitcode, so that fat LTO sees into std; remapped, so that the place of this toolchain isn't in what it builds.
  ( cd "$work"; export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$work/target
    export "CARGO_TARGET_${upper}_RUSTFLAGS=-Cembed-bitcode=yes -Cforce-unwind-tables=no --remap-path-prefix=$(realpath "$PREFIX"/src/rustc-*)=/rustc --remap-path-prefix=$PREFIX=/toolchain --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
    cargo build -q --release --target "$1" -Zbuild-std=std,panic_abort -Zbuild-std-features= )
  cp "$work/target/$1"/release/deps/*.rlib "$2/"; rm -f "$2"/libstdlib_dummy*; rm -rf "$work"
}

while read -r target arch libdir ztarget zcpu _; do
  case $target in ''|'#'*) continue ;; esac
  [ $# = 0 ] || [[ " $* " = *" $target "* ]] || continue
  libraries=$PREFIX/lib/rustlib/$target/lib; own=$libraries/self-contained; mkdir -p "$own"
  compiler "$target" "$ztarget" "$zcpu"
  [ -e "$own/libunwind.a" ] || { step "$target: musl (Debian's $arch) and libunwind"; start_files "$target" "$arch" "$libdir" "$own"; }
  [ -e "$own/packed" ] || start_packed "$target" "$own"
  ls "$libraries"/libstd-*.rlib >/dev/null 2>&1 || { step "$target: std"; standard_library "$target" "$libraries"; }
  step "$target: ready"
done < "$HERE/targets"

{ echo "# . $PREFIX/env.sh"
  echo "unset RUSTUP_TOOLCHAIN RUSTC LD_LIBRARY_PATH"
  echo "export PATH=$PREFIX/bin:\$PATH"
  for t in $(cd lib/rustlib && ls -d ./*-musl*); do
    t=${t#./}; u=${t//-/_}
    echo "export CC_$u=$PREFIX/bin/$t-cc AR_$u=$PREFIX/bin/$t-ar CARGO_TARGET_${u^^}_LINKER=rust-lld"
  done
} > env.sh
step "ready: . $PREFIX/env.sh"
