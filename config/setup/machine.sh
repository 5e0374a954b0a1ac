#!/bin/sh
# Makes the small machine in which the tests see control groups (cgroup v2), whatever the host has: QEMU, a kernel of the
# distribution with the few modules that it takes to see the host's files, and `tests/node/machine/init`.
# Prints `QCBATCH_TEST_MACHINE=<folder with kernel and initrd.gz>`, an empty one where no such kernel is known.
set -eu
. "$(dirname "$0")/packages.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)
init=$root/tests/node/machine/init
machine=$root/.machine
modules="virtio virtio_ring virtio_pci virtio_pci_modern_dev virtio_pci_legacy_dev netfs fscache 9pnet 9pnet_virtio 9p"

knows_kernel() {
    [ "$(uname -m)" = x86_64 ] && have apt-get || return 1
    known_to_apt linux-image-amd64 || { may_install && apt_quiet update && known_to_apt linux-image-amd64; }
}

if ! knows_kernel; then
    say "no kernel for a machine with control groups is known here; its tests are left out"
    echo "QCBATCH_TEST_MACHINE="
    exit 0
fi
lacks() { ! have qemu-system-x86_64 || ! have busybox; }
! lacks || apt_install qemu-system-x86 busybox-static || :
! lacks || { lack "QEMU" qemu-system-x86 busybox-static; exit 1; }

# Into the folder $1: kernel and modules out of the package, which is not installed.
unpack_kernel() {
    download "$1" || { may_install && apt_quiet update && download "$1"; } || return 1
    dpkg-deb --fsys-tarfile "$1"/linux-image-*.deb | tar -x -C "$1" || return 1
    mkdir -p "$1/root/bin" "$1/root/modules" || return 1
    for module in $modules; do
        # Compressed since Debian 13.
        file=$(find "$1" -name "$module.ko" -o -name "$module.ko.xz" | head -n 1)
        case $file in
        *.xz) xz -dc "$file" >"$1/root/modules/$module.ko" || return 1 ;;
        *.ko) cp "$file" "$1/root/modules/" || return 1 ;;
        *) grep -qr --include=modules.builtin "/$module\.ko" "$1" || lacking="${lacking:-} $module" ;;
        esac
    done
    # The others became part of one another in later kernels.
    case " ${lacking:-} " in *" 9p "* | *" 9pnet "* | *" 9pnet_virtio "* | *" virtio_pci "*)
        say "the kernel has no module$lacking"
        return 1 ;;
    esac
    mv "$1"/boot/vmlinuz-* "$1/kernel"
}

download() {
    package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    say "unpacking $package"
    (cd "$1" && apt-get -q download "$package" >&2)
}

if [ ! -e "$machine/initrd.gz" ] || [ "$init" -nt "$machine/initrd.gz" ] || [ "$0" -nt "$machine/initrd.gz" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    unpack_kernel "$work" || die "the kernel of the machine with control groups cannot be downloaded"
    cp "$(command -v busybox)" "$work/root/bin/busybox"
    cp "$init" "$work/root/init"
    chmod 755 "$work/root/init"
    mkdir -p "$machine"
    (cd "$work/root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$work/initrd.gz"
    mv "$work/kernel" "$machine/kernel"
    mv "$work/initrd.gz" "$machine/initrd.gz"
fi
echo "QCBATCH_TEST_MACHINE=\"$machine\""
