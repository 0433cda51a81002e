# Runs inside a fresh root, as its root: the people, keys and settings that whole-host tests count on.
set -eu

# Each person has the password NAME-pw and the key /etc/curfew-tests/keys/NAME. `ops` may use sudo by the
# distribution's own rule, `dave` may run one command by a rule of the host's.
keys=/etc/curfew-tests/keys
mkdir -p "$keys"

allow_key() { # NAME HOME
    ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$keys/$1"
    mkdir -p "$2/.ssh"
    cp "$keys/$1.pub" "$2/.ssh/authorized_keys"
    chmod 700 "$2/.ssh"
    chown -R "$1:" "$2/.ssh"
}

uid=1001
for name in alice bob carol dave ops first.last; do
    useradd --badname --create-home --shell /bin/bash --uid "$uid" "$name"
    echo "$name:$name-pw" | chpasswd
    allow_key "$name" "/home/$name"
    uid=$((uid + 1))
done
allow_key root /root
usermod --append --groups sudo ops
echo 'dave ALL=(root) NOPASSWD: /usr/bin/id' > /etc/sudoers.d/dave
chmod 440 /etc/sudoers.d/dave

# Tests make refused logins by the dozen from one address; OpenSSH 9.8 and later would shut that out.
mkdir -p /run/sshd
{
    echo 'PasswordAuthentication yes'
    echo 'KbdInteractiveAuthentication yes'
    echo 'MaxStartups 100'
    if /usr/sbin/sshd -T -o PerSourcePenalties=no >/dev/null 2>&1; then
        echo 'PerSourcePenalties no'
    fi
} > /etc/ssh/sshd_config.d/curfew-tests.conf

. /etc/os-release
echo "$VERSION_CODENAME" > /etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$VERSION_CODENAME" > /etc/hosts
mkdir -p /var/log/journal
: > /etc/machine-id
systemd-machine-id-setup >/dev/null 2>&1

# Neither a first boot nor an update is to be caught up with at each start.
touch /etc/.updated /var/.updated
