# Runs as root in the host that becomes a virtual machine's disk.
set -eu

cat > /etc/systemd/system/vm-control.service <<'UNIT'
[Unit]
Description=Control port of a test's virtual machine
DefaultDependencies=no
After=systemd-remount-fs.service systemd-tmpfiles-setup.service
StartLimitIntervalSec=0

[Service]
# Built into newer kernels.
ExecStartPre=-/sbin/modprobe --quiet --all virtio_pci virtio_console
ExecStart=/usr/local/bin/vm-control /dev/vport0p1
Restart=always
RestartSec=200ms
OOMScoreAdjust=-1000

[Install]
WantedBy=multi-user.target
UNIT
chmod 755 /usr/local/bin/vm-control /usr/local/bin/vm-clock
systemctl enable --quiet vm-control.service

# Every program takes long in an emulated machine: what no test looks at is not started.
systemctl mask --quiet systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
    systemd-udev-trigger.service systemd-modules-load.service kmod-static-nodes.service \
    modprobe@configfs.service modprobe@drm.service modprobe@efi_pstore.service modprobe@fuse.service \
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
    dev-hugepages.mount dev-mqueue.mount e2scrub_reap.service getty@tty1.service serial-getty@ttyS0.service

# The kernel has all that it needs to find its disk.
rm -f /boot/initrd.img* /initrd.img*
sync
