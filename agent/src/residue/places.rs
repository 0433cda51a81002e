//! What is looked at: each kind of thing that can be left for later, and where it is.
//!
//! A place is a file, or a folder with all that is in it. What is not in these tables is not looked at, but for set-user-ID files and device
//! nodes, which are looked for everywhere (`setuid`).

mod homes;

pub use self::homes::{LISTS_OF_KEYS, OF_A_HOME, OF_A_RUNTIME_FOLDER};

use super::kind::Kind;

/// The number of these tables: a snapshot by another says what it could not have seen.
pub const TABLE: u32 = 4;

/// What no look sees. Each report says it.
pub const NOT_LOOKED_AT: &str = "never looked at: libraries and data of packages; programs outside of the folders of programs; the kernel and what \
                                 boots it; /dev; what runs; the service manager's environment (systemctl set-environment)";

/// Places of the host.
pub const OF_THE_HOST: &[(Kind, &[&str])] = &[
    (
        Kind::Sudoers,
        &[
            "/etc/sudoers",
            "/etc/sudoers.d",
            "/etc/sudoers-rs",
            "/etc/sudo.conf",
            "/etc/sudo_logsrvd.conf",
            "/etc/doas.conf",
        ],
    ),
    (
        Kind::Crontab,
        &[
            "/etc/crontab",
            "/etc/anacrontab",
            "/etc/cron.d",
            "/etc/cron.hourly",
            "/etc/cron.daily",
            "/etc/cron.weekly",
            "/etc/cron.monthly",
            "/etc/cron.yearly",
            "/var/spool/cron",
            "/etc/cron.allow",
            "/etc/cron.deny",
        ],
    ),
    (Kind::AtJob, &["/var/spool/cron/atjobs", "/var/spool/at", "/etc/at.allow", "/etc/at.deny"]),
    // The load path of systemd.unit(5), the transient ones aside, and what a manager runs before any unit (systemd.generator(7)).
    (
        Kind::SystemUnit,
        &[
            "/etc/systemd/system.control",
            "/run/systemd/system.control",
            "/run/systemd/generator.early",
            "/etc/systemd/system",
            "/etc/systemd/system.attached",
            "/run/systemd/system",
            "/run/systemd/system.attached",
            "/run/systemd/generator",
            "/usr/local/lib/systemd",
            "/usr/lib/systemd/system",
            "/lib/systemd/system",
            "/run/systemd/generator.late",
            "/etc/systemd/system.conf",
            "/etc/systemd/system.conf.d",
            "/run/systemd/system.conf.d",
            "/usr/lib/systemd/system.conf.d",
            "/etc/systemd/system-generators",
            "/run/systemd/system-generators",
            "/usr/lib/systemd/system-generators",
            "/etc/systemd/system-environment-generators",
            "/run/systemd/system-environment-generators",
            "/usr/lib/systemd/system-environment-generators",
            "/etc/systemd/system-shutdown",
            "/usr/lib/systemd/system-shutdown",
            "/etc/systemd/system-sleep",
            "/usr/lib/systemd/system-sleep",
            "/etc/systemd/system-preset",
            "/run/systemd/system-preset",
            "/usr/lib/systemd/system-preset",
            // Containers that become units (podman-systemd.unit(5)).
            "/etc/containers/systemd",
            "/run/containers/systemd",
            "/usr/share/containers/systemd",
        ],
    ),
    (
        Kind::UserUnit,
        &[
            "/etc/xdg/systemd/user",
            "/etc/systemd/user",
            "/run/systemd/user",
            "/usr/local/share/systemd/user",
            "/usr/share/systemd/user",
            "/usr/lib/systemd/user",
            "/etc/systemd/user.conf",
            "/etc/systemd/user.conf.d",
            "/etc/systemd/user-generators",
            "/run/systemd/user-generators",
            "/usr/lib/systemd/user-generators",
            "/etc/systemd/user-environment-generators",
            "/run/systemd/user-environment-generators",
            "/usr/lib/systemd/user-environment-generators",
            "/etc/systemd/user-preset",
            "/run/systemd/user-preset",
            "/usr/lib/systemd/user-preset",
            "/etc/xdg/autostart",
        ],
    ),
    (Kind::TransientUnit, &["/run/systemd/transient"]),
    (Kind::Linger, &["/var/lib/systemd/linger"]),
    // What runs at boot beside units.
    (
        Kind::StartupScript,
        &[
            "/etc/rc.local",
            "/etc/rc.d",
            "/etc/init.d",
            "/etc/rcS.d",
            "/etc/rc0.d",
            "/etc/rc1.d",
            "/etc/rc2.d",
            "/etc/rc3.d",
            "/etc/rc4.d",
            "/etc/rc5.d",
            "/etc/rc6.d",
            "/etc/inittab",
            "/etc/fstab",
            "/etc/crypttab",
            "/etc/default",
            "/etc/sysconfig",
            "/etc/initramfs-tools",
            "/usr/share/initramfs-tools",
            "/etc/dracut.conf",
            "/etc/dracut.conf.d",
            "/etc/kernel",
            "/usr/lib/kernel",
            "/etc/grub.d",
            // What lies over /usr, /opt and /etc from the next boot on (systemd-sysext(8)).
            "/etc/extensions",
            "/run/extensions",
            "/var/lib/extensions",
            "/usr/lib/extensions",
            "/usr/local/lib/extensions",
            "/run/confexts",
            "/var/lib/confexts",
            "/usr/lib/confexts",
            "/usr/local/lib/confexts",
        ],
    ),
    // What each login runs or reads.
    (
        Kind::Profile,
        &[
            "/etc/profile",
            "/etc/profile.d",
            "/etc/bash.bashrc",
            "/etc/bash.bash_logout",
            "/etc/bashrc",
            "/etc/bash_completion",
            "/etc/bash_completion.d",
            "/etc/inputrc",
            "/etc/environment",
            "/etc/environment.d",
            "/run/environment.d",
            "/usr/lib/environment.d",
            "/etc/zsh",
            "/etc/zshenv",
            "/etc/zprofile",
            "/etc/zshrc",
            "/etc/zlogin",
            "/etc/csh",
            "/etc/csh.cshrc",
            "/etc/csh.login",
            "/etc/fish",
            "/etc/skel",
            "/etc/update-motd.d",
            "/etc/X11/Xsession.d",
            "/usr/share/bash-completion/bash_completion",
            "/etc/ksh.kshrc",
            // What runs commands in programs that people and root start by hand.
            "/etc/vimrc",
            "/etc/vim/vimrc",
            "/etc/vim/vimrc.local",
            "/etc/gitconfig",
            "/etc/tmux.conf",
            "/etc/screenrc",
            "/etc/gdb/gdbinit",
            "/etc/gdbinit",
            "/etc/nanorc",
        ],
    ),
    // What root's own programs start or load when something happens.
    (
        Kind::SystemHook,
        &[
            "/etc/udev",
            "/run/udev/rules.d",
            "/usr/local/lib/udev",
            "/usr/lib/udev/rules.d",
            "/etc/modprobe.d",
            "/run/modprobe.d",
            "/usr/local/lib/modprobe.d",
            "/usr/lib/modprobe.d",
            "/etc/modules",
            "/etc/modules-load.d",
            "/run/modules-load.d",
            "/usr/lib/modules-load.d",
            "/etc/sysctl.conf",
            "/etc/sysctl.d",
            "/run/sysctl.d",
            "/usr/lib/sysctl.d",
            "/etc/binfmt.d",
            "/run/binfmt.d",
            "/usr/lib/binfmt.d",
            "/etc/tmpfiles.d",
            "/run/tmpfiles.d",
            "/usr/lib/tmpfiles.d",
            "/etc/sysusers.d",
            "/run/sysusers.d",
            "/usr/lib/sysusers.d",
            "/etc/dbus-1",
            "/run/dbus-1",
            "/usr/local/share/dbus-1",
            "/usr/share/dbus-1",
            "/etc/NetworkManager",
            "/usr/lib/NetworkManager/dispatcher.d",
            "/etc/networkd-dispatcher",
            "/usr/lib/networkd-dispatcher",
            "/etc/network",
            "/etc/dhcp",
            "/etc/ppp",
            "/etc/logrotate.conf",
            "/etc/logrotate.d",
            "/etc/apt/apt.conf",
            "/etc/apt/apt.conf.d",
            "/etc/apt/auth.conf",
            "/etc/apt/auth.conf.d",
            "/etc/apt/keyrings",
            "/etc/apt/preferences",
            "/etc/apt/preferences.d",
            "/etc/apt/sources.list",
            "/etc/apt/sources.list.d",
            "/etc/apt/trusted.gpg",
            "/etc/apt/trusted.gpg.d",
            "/usr/share/keyrings",
            "/etc/dpkg",
            "/etc/dnf/plugins",
            "/etc/dnf/dnf.conf",
            "/etc/yum.conf",
            "/etc/yum.repos.d",
            "/etc/pki/rpm-gpg",
            "/etc/acpi",
            "/etc/ca-certificates/update.d",
            "/etc/inetd.conf",
            "/etc/xinetd.conf",
            "/etc/xinetd.d",
            "/etc/rsyslog.conf",
            "/etc/rsyslog.d",
            "/etc/aliases",
            "/etc/mailcap",
            // What each Perl program may load instead of what packages bring, and what packages have dpkg run when files change.
            "/etc/perl",
            "/usr/local/lib/site_perl",
            "/usr/local/share/perl",
            "/var/lib/dpkg/triggers/File",
        ],
    ),
    // What decides who gets in, and what each program loads.
    (
        Kind::AccessFile,
        &[
            "/etc/pam.d",
            "/etc/pam.conf",
            "/usr/lib/pam.d",
            "/etc/security",
            "/usr/lib/security",
            "/usr/lib64/security",
            "/usr/lib/x86_64-linux-gnu/security",
            "/usr/lib/aarch64-linux-gnu/security",
            "/usr/lib/arm-linux-gnueabihf/security",
            "/usr/lib/i386-linux-gnu/security",
            "/usr/lib/powerpc64le-linux-gnu/security",
            "/usr/lib/riscv64-linux-gnu/security",
            "/usr/lib/s390x-linux-gnu/security",
            "/etc/ssh",
            "/etc/hosts.equiv",
            // hosts_options(5): they may run a program for whoever connects.
            "/etc/hosts.allow",
            "/etc/hosts.deny",
            "/etc/nologin",
            "/etc/nsswitch.conf",
            "/etc/userdb",
            "/run/userdb",
            "/usr/lib/userdb",
            "/etc/gshadow",
            "/etc/subuid",
            "/etc/subgid",
            "/etc/login.defs",
            "/etc/shells",
            "/etc/securetty",
            "/etc/krb5.conf",
            "/etc/krb5.conf.d",
            "/etc/krb5.keytab",
            "/etc/sssd",
            "/etc/polkit-1",
            "/run/polkit-1",
            "/usr/local/share/polkit-1",
            "/usr/share/polkit-1",
            "/var/lib/polkit-1",
            // What each program that speaks TLS, Kerberos or to a smart card may load.
            "/etc/ssl/openssl.cnf",
            "/etc/ssl/openssl.cnf.d",
            "/usr/lib/ssl/openssl.cnf",
            "/usr/lib/ssl/openssl.cnf.d",
            "/etc/pki/tls/openssl.cnf",
            "/etc/pki/tls/openssl.d",
            "/etc/gss/mech.d",
            "/etc/pkcs11",
            "/etc/ld.so.preload",
            "/etc/ld.so.conf",
            "/etc/ld.so.conf.d",
            "/etc/ld.so.cache",
            "/etc/curfew",
            // What PID 1 passes to units by name (systemd.system-credentials(7)): keys, passwords, who is logged in by itself.
            "/etc/credstore",
            "/etc/credstore.encrypted",
            "/run/credstore",
            "/run/credstore.encrypted",
            "/usr/lib/credstore",
            "/usr/lib/credstore.encrypted",
            "/usr/local/lib/credstore",
            "/usr/local/lib/credstore.encrypted",
        ],
    ),
];

/// Folders of programs that people and root start by name, and of links to such. What is in them is looked at when everything is walked.
pub const PROGRAM_FOLDERS: [&str; 7] =
    ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin", "/etc/alternatives"];

/// Folders of which it counts who may write them, beside those and those above each place.
pub const FOLDERS: &[&str] = &[
    "/boot",
    "/home",
    "/lib",
    "/lib64",
    "/opt",
    "/root",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local/lib",
    "/var/lib/curfew",
];

/// Where there is much else: a folder, whose path may have a `*` in it, and the ends of the names of what is looked at there.
pub const BY_ENDS_OF_NAMES: &[(Kind, &str, &[&str])] = &[
    // What packages run as root when they change, dpkg's own triggers (deb-triggers(5)) among it.
    (Kind::SystemHook, "/var/lib/dpkg/info", &[".postinst", ".preinst", ".prerm", ".postrm", ".triggers"]),
    // What each Python program runs first (site(3py)).
    (Kind::SystemHook, "/usr/lib/python3*", PYTHON),
    (Kind::SystemHook, "/usr/local/lib/python3*/dist-packages", PYTHON),
    (Kind::SystemHook, "/usr/local/lib/python3*/site-packages", PYTHON),
    (Kind::SystemHook, "/usr/lib/python3*/dist-packages", PYTHON),
    (Kind::SystemHook, "/usr/lib/python3*/site-packages", PYTHON),
];

const PYTHON: &[&str] = &[".pth", "sitecustomize.py", "usercustomize.py"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_place_is_looked_at_twice() {
        let folders: BTreeSet<&str> = BY_ENDS_OF_NAMES.iter().map(|(_, folder, _)| *folder).collect();
        assert_eq!(folders.len(), BY_ENDS_OF_NAMES.len());
        for table in [OF_THE_HOST, OF_A_HOME, OF_A_RUNTIME_FOLDER] {
            let mut seen = BTreeSet::new();
            for place in table.iter().flat_map(|(_, places)| places.iter()) {
                assert!(seen.insert(*place), "{place}");
                assert_eq!(place.starts_with('/'), std::ptr::eq(table, OF_THE_HOST), "{place}");
            }
        }
    }
}
