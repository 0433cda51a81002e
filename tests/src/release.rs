//! The Debian releases that hosts run.

use std::fmt;

/// A Debian release that Curfew supports, and which sudo it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Release {
    /// Debian 12: OpenSSH 9.2, sudo 1.9.13, systemd 252.
    Bookworm,
    /// Debian 13: OpenSSH 10.0, sudo 1.9.16, systemd 257.
    Trixie,
    /// Debian 13, with sudo-rs 0.2.5 as its `sudo` and `visudo`. The classic ones are `sudo.ws` and `visudo.ws` there.
    TrixieSudoRs,
}

impl Release {
    /// Every release, oldest first.
    pub const ALL: [Release; 3] = [Release::Bookworm, Release::Trixie, Release::TrixieSudoRs];

    /// The code name, as the archive spells it. Hosts are called so, too.
    #[must_use]
    pub fn code_name(self) -> &'static str {
        match self {
            Release::Bookworm => "bookworm",
            Release::Trixie | Release::TrixieSudoRs => "trixie",
        }
    }

    /// Whether its sudo is sudo-rs.
    #[must_use]
    pub fn has_sudo_rs(self) -> bool {
        self == Release::TrixieSudoRs
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Release::Bookworm | Release::Trixie => self.code_name(),
            Release::TrixieSudoRs => "trixie_sudo_rs",
        })
    }
}
