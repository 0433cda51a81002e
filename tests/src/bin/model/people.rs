//! Who there is on the host, by which doors they come in, what they run by sudo, and what a grant gives of that.

/// Somebody on the host.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Person {
    Alice,
    Bob,
    /// On the exempt list.
    Ops,
    /// On it, too.
    Root,
}

impl Person {
    pub const GRANTEES: [Self; 2] = [Self::Alice, Self::Bob];

    pub fn name(self) -> &'static str {
        match self {
            Self::Alice => "alice",
            Self::Bob => "bob",
            Self::Ops => "ops",
            Self::Root => "root",
        }
    }

    pub fn uid(self) -> u32 {
        match self {
            Self::Alice => 1001,
            Self::Bob => 1002,
            Self::Ops => 1005,
            Self::Root => 0,
        }
    }

    pub fn is_exempt(self) -> bool {
        matches!(self, Self::Ops | Self::Root)
    }
}

/// Where somebody comes in, and from where.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Door {
    pub service: &'static str,
    pub from: &'static str,
}

pub const DOORS: [Door; 4] = [
    Door { service: "sshd", from: "10.1.2.3" },
    Door { service: "sshd", from: "192.0.2.7" },
    Door { service: "login", from: "10.1.2.3" },
    Door { service: "login", from: "192.0.2.7" },
];

/// Which doors a grant opens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Doors {
    /// This service alone.
    pub service: Option<&'static str>,
    /// From 10.0.0.0/8 alone.
    pub inside: bool,
}

impl Doors {
    pub fn opens(self, door: Door) -> bool {
        self.service.is_none_or(|service| service == door.service) && (!self.inside || door.from.starts_with("10."))
    }
}

/// What is run by sudo.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command {
    Shell,
    Id,
    Sleep,
}

/// What sudo a grant gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sudo {
    /// This command alone; else any.
    pub command: Option<Command>,
    /// As www-data, too.
    pub www_data: bool,
}

/// A run of sudo as somebody wants it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wanted {
    pub command: Command,
    pub www_data: bool,
}

impl Sudo {
    pub fn covers(self, wanted: Wanted) -> bool {
        self.command.is_none_or(|command| command == wanted.command) && (self.www_data || !wanted.www_data)
    }
}
