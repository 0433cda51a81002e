//! The kinds of things that can be left for later.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What can be left behind for later: what gives root at once before what gives it when something happens, and what an upgrade of packages
/// changes by the hundred behind all.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// sudoers(5).
    Sudoers,
    /// A program with the set-user-ID or set-group-ID bit, or with capabilities(7).
    SetuidFile,
    /// passwd(5) and shadow(5).
    Account,
    /// group(5).
    Group,
    /// What decides who gets in, and what each program loads: pam.d(5), sshd_config(5), ld.so(8).
    AccessFile,
    /// A folder above all of this, or of programs, or a list of keys, that others than its owner may write: they can exchange what is there.
    OpenPath,
    /// A device node that others than root may read or write, such as that of a whole disk (mknod(1)).
    DeviceNode,
    /// A key in `~/.ssh` (sshd(8)).
    AuthorizedKeys,
    /// cron(8) and anacron(8).
    Crontab,
    /// at(1).
    AtJob,
    /// A unit of the host's service manager.
    SystemUnit,
    /// A unit that exists until the next boot (systemd-run(1)).
    TransientUnit,
    /// What runs at boot beside units.
    StartupScript,
    /// What root's own programs start or load when something happens, such as udev(7)'s rules.
    SystemHook,
    /// What each login runs or reads, such as `/etc/profile`.
    Profile,
    /// A unit of somebody's own service manager.
    UserUnit,
    /// Somebody whose service manager runs without a session (loginctl(1)).
    Linger,
    /// A program that is started by its name, and what a name of several programs stands for (update-alternatives(1)).
    Program,
}

impl Kind {
    /// Every kind, the gravest first.
    pub const ALL: [Self; 18] = [
        Self::Sudoers,
        Self::SetuidFile,
        Self::Account,
        Self::Group,
        Self::AccessFile,
        Self::OpenPath,
        Self::DeviceNode,
        Self::AuthorizedKeys,
        Self::Crontab,
        Self::AtJob,
        Self::SystemUnit,
        Self::TransientUnit,
        Self::StartupScript,
        Self::SystemHook,
        Self::Profile,
        Self::UserUnit,
        Self::Linger,
        Self::Program,
    ];

    /// What is found by walking everything; the rest stands in lists.
    pub const WALKED: [Self; 3] = [Self::SetuidFile, Self::DeviceNode, Self::Program];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sudoers => "sudoers",
            Self::SetuidFile => "setuid file",
            Self::Account => "account",
            Self::Group => "group",
            Self::AccessFile => "access file",
            Self::OpenPath => "open path",
            Self::DeviceNode => "device node",
            Self::AuthorizedKeys => "authorized_keys",
            Self::Crontab => "crontab",
            Self::AtJob => "at job",
            Self::SystemUnit => "system unit",
            Self::TransientUnit => "transient unit",
            Self::StartupScript => "startup script",
            Self::SystemHook => "system hook",
            Self::Profile => "profile",
            Self::UserUnit => "user unit",
            Self::Linger => "linger",
            Self::Program => "program",
        })
    }
}
