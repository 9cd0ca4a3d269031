# SPDX-License-Identifier: MIT
# Debian packages, for scripts to source. Installs only what is missing, as root or with sudo.

BUILD_PACKAGES="g++ cmake ninja-build libelf-dev zlib1g-dev libzstd-dev liblzo2-dev libsnappy-dev
  libxxhash-dev libssl-dev libfuse3-dev libbpf-dev libre2-dev libcapstone-dev libpng-dev libcli11-dev
  nlohmann-json3-dev"
VM_PACKAGES="qemu-system-x86 busybox-static kmod e2fsprogs zstd debian-archive-keyring kexec-tools
  python3"
TEST_PACKAGES="python3 zstd makedumpfile gdb python3-libkdumpfile python3-drgn libgtest-dev libfuse3-dev fuse3
  bsdextrautils fish zsh procps abigail-tools dpkg-dev file man-db pkgconf python3-jsonschema"
BENCH_PACKAGES="makedumpfile time zstd libbenchmark-dev libkdumpfile-dev libgtest-dev"

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "This needs root or sudo: $*" >&2
    return 1
  fi
}

# install_packages PACKAGE…
install_packages() {
  local missing="" package
  for package in "$@"; do
    dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
      missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  echo "Installing:$missing"
  as_root apt-get update -qq
  # shellcheck disable=SC2086  # a list of words
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
