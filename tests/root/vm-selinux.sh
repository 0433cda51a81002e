# Runs as root in the host that becomes the disk of a virtual machine with SELinux, before it is labelled.
set -eu

sed -i 's/^SELINUX=.*/SELINUX=enforcing/' /etc/selinux/config
# A confined user who may become root by sudo, and one who may not. Everybody else is unconfined, as is usual.
printf '%s\n' 'bob:staff_u:s0-s0:c0.c1023' 'carol:user_u:s0' > /var/lib/selinux/default/active/seusers.local
# A container's boot is one without SELinux, after which these have everything labelled anew. It is labelled when this host is off.
systemctl mask --quiet selinux-autorelabel.service selinux-autorelabel-mark.service

# Loading a module takes minutes in an emulated machine: it is done here.
if [ -e /root/curfew.pp ]; then semodule --noreload --install /root/curfew.pp; fi
