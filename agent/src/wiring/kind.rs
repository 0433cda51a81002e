//! Who is judged in a service.

/// Who is judged in a service: `PAM_USER` or `PAM_RUSER`. The module's argument says so.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Kind {
    /// The user who logs in.
    Login,
    /// The user who invokes it.
    Elevation,
}

impl Kind {
    /// The module's argument.
    pub fn argument(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Elevation => "elevation",
        }
    }
}
