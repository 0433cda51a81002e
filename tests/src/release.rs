//! The Debian releases that hosts run.

use std::fmt;

/// A Debian release that Curfew supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Release {
    /// Debian 12: OpenSSH 9.2, sudo 1.9.13, systemd 252.
    Bookworm,
    /// Debian 13: OpenSSH 10.0, sudo 1.9.16, systemd 257.
    Trixie,
}

impl Release {
    /// Every release, oldest first.
    pub const ALL: [Release; 2] = [Release::Bookworm, Release::Trixie];

    /// The code name, as the archive spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Release::Bookworm => "bookworm",
            Release::Trixie => "trixie",
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
