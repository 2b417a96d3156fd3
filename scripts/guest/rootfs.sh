# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The root file system of --rootfs.  init sources this.

# rootfs_disk: prints the device node of the disk, if the kernel has found it.
rootfs_disk() {
    for _d in /sys/block/vd*; do
        [ "$(cat "$_d/serial" 2>/dev/null)" = "$ROOTFS" ] && echo "/dev/${_d##*/}" && return
    done
    return 1
}

# rootfs_fill ROOT: copies what the launcher gave this guest into it.
rootfs_fill() {
    mkdir -p "$1/pciep" "$1/lib/modules" "$1/root"
    cp -a /pciep/. "$1/pciep/"
    cp -a /lib/modules/. "$1/lib/modules/"
    while IFS= read -r _file; do
        mkdir -p "$(dirname "$1$_file")"
        cp -a "$_file" "$1$_file"
    done </pciep/files
    # For what its own programs do not do, such as the shell on the console
    mkdir -p "$1/pciep/busybox"
    cp /bin/busybox "$1/pciep/busybox/busybox"
    for _name in $(busybox --list); do
        ln -sf busybox "$1/pciep/busybox/$_name"
    done
    echo "PATH=\$PATH:/pciep/bin:/pciep/busybox" >"$1/etc/profile.d/pci-ep.sh"
    hostname >"$1/etc/hostname"
    printf '127.0.0.1 localhost %s\n' "$(hostname)" >"$1/etc/hosts"
}

# rootfs_enter: makes the disk the root file system and starts init again, which finds
# ROOTFS_ENTERED.  It returns when there is no such disk.
rootfs_enter() {
    load virtio_pci virtio_blk ext4
    mkdir -p /rootfs
    if ! wait_for 10 rootfs_disk || ! mount -t ext4 "$(rootfs_disk)" /rootfs; then
        say "!need the kernel of $GUEST cannot mount its root file system: set" \
            "CONFIG_VIRTIO_BLK and CONFIG_EXT4_FS, or leave out --rootfs"
        return
    fi
    rootfs_fill /rootfs
    for _d in proc sys dev tmp; do
        mount --move "/$_d" "/rootfs/$_d"
    done
    mount -t tmpfs -o mode=755 tmpfs /rootfs/run
    mkdir -p /rootfs/dev/pts /rootfs/dev/shm
    mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /rootfs/dev/pts
    mount -t tmpfs tmpfs /rootfs/dev/shm
    chmod 1777 /rootfs/tmp
    export ROOTFS_ENTERED=1
    exec switch_root /rootfs /pciep/init
}

# ssh_up: starts sshd with the keys of this run.
ssh_up() {
    mkdir -p /run/sshd
    # Reverse look-ups of the network of QEMU take long.
    /usr/sbin/sshd -o HostKey=/pciep/ssh/host_key -o UsePAM=no -o UseDNS=no \
        -o AuthorizedKeysFile=/pciep/ssh/authorized_keys -o PasswordAuthentication=no \
        -o "SetEnv=PATH=$PATH" || log "sshd did not start, see above"
}
