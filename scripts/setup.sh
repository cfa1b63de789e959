#!/usr/bin/env bash
# Makes a fresh clone ready to run: Node packages, Debian packages where they help, and the build.
#
#   scripts/setup.sh [--for test|demo|bench]
#
# Safe to run again, and fast then: every step looks first whether there is anything to do, and nothing is fetched the
# second time. What cannot be installed is no error here: the tests that need it are skipped and say why.
#
#   LOCUM_NO_INSTALL=1   never install Debian packages
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

purpose=build
case "${1:-}" in
  '') ;;
  --for) purpose=${2:-} ;;
  *) echo "usage: scripts/setup.sh [--for test|demo|bench]" >&2; exit 2 ;;
esac

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# ---- Node ------------------------------------------------------------------------------------------------------------

command -v node >/dev/null || fail 'Node.js is not installed; Locum needs version 20.15 or newer.'
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 15) ? 0 : 1)' ||
  fail "Node.js $(node --version) is too old; Locum needs version 20.15 or newer."

# npm writes node_modules/.package-lock.json last, so its age is that of the last complete installation.
# No package of ours needs its install script to work, so none is run.
installed=node_modules/.package-lock.json
if [ ! -f "$installed" ] || [ package-lock.json -nt "$installed" ]; then
  say 'installing Node packages (npm ci) …'
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  touch "$installed"
fi

# ---- Debian packages -------------------------------------------------------------------------------------------------

# Each line: the program that shows that the package is there, and the package. Programs of the sbin folders count.
wanted() {
  case "$purpose" in
    test) cat <<'LIST'
nbdkit nbdkit
nbdinfo libnbd-bin
nbdfuse libnbd-bin
fusermount3 fuse3
nbdsh python3-libnbd
qemu-img qemu-utils
qemu-io qemu-utils
qemu-storage-daemon qemu-system-common
fio fio
nbd-client nbd-client
mdadm mdadm
mkfs.ext4 e2fsprogs
strace strace
linux.uml user-mode-linux
modprobe kmod
sg_write_buffer sg3-utils
smartctl smartmontools
nvme nvme-cli
hdparm hdparm
dmsetup dmsetup
sfdisk fdisk
LIST
    ;;
    bench) cat <<'LIST'
nbdkit nbdkit
qemu-nbd qemu-utils
qemu-storage-daemon qemu-system-common
fio fio
mkfs.btrfs btrfs-progs
LIST
    ;;
  esac
}

missing_packages() {
  wanted | while read -r program package; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null || echo "$package"
  done | sort -u
}

missing=$(missing_packages | tr '\n' ' ')
# Packages that could not be had are written down, so that the next run does not wait for the same answer again.
refused=node_modules/.debian-packages-refused
if [ -n "$missing" ]; then
  if [ -n "${LOCUM_NO_INSTALL:-}" ]; then
    say "not installed: ${missing}(LOCUM_NO_INSTALL is set); what needs them is skipped"
  elif [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "not installed: ${missing}(needs root and apt-get); what needs them is skipped"
  elif [ "$(cat "$refused" 2>/dev/null)" = "$missing" ]; then
    say "not installed: ${missing}(tried before; remove $refused to try again)"
  else
    say "installing Debian packages: $missing…"
    export DEBIAN_FRONTEND=noninteractive
    install() { apt-get install -qq -y --no-install-recommends "$@" </dev/null >/dev/null 2>&1; }
    apt-get update -qq >/dev/null 2>&1 || say 'apt-get update failed; going on with the package lists that are there'
    # shellcheck disable=SC2086
    install $missing || for package in $missing; do install "$package" || true; done
    left=$(missing_packages | tr '\n' ' ')
    if [ -n "$left" ]; then
      say "could not install: ${left}; what needs them is skipped"
      printf '%s' "$left" > "$refused"
    fi
  fi
fi

# ---- Build -----------------------------------------------------------------------------------------------------------

# tsc never deletes the output of a source that is gone; the test runner would go on running it.
if [ -d dist ]; then
  find dist -name '*.js' | while read -r output; do
    source=${output#dist/}
    if [ ! -f "${source%.js}.ts" ]; then
      rm -f "$output" "$output.map" "${output%.js}.d.ts" "${output%.js}.d.ts.map"
    fi
  done
fi
say 'building …'
node_modules/.bin/tsc -b
say 'ready'
