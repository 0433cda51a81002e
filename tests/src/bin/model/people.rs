//! Who there is on the host, by which doors they come in, what they run by sudo, and what a grant gives of that.

/// Somebody on the host.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Person {
    Alice,
    Bob,
    /// The second name of bob's user id: another account to log in to, and the same person to sudo.
    Robert,
    /// On the exempt list.
    Ops,
    /// On it, too.
    Root,
}

impl Person {
    pub const GRANTEES: [Self; 3] = [Self::Alice, Self::Bob, Self::Robert];

    /// Everybody who has this user id, by whatever name.
    pub fn names(self) -> &'static [Self] {
        match self {
            Self::Alice => &[Self::Alice],
            Self::Bob | Self::Robert => &[Self::Bob, Self::Robert],
            Self::Ops => &[Self::Ops],
            Self::Root => &[Self::Root],
        }
    }

    /// The name under which sudo asks about them: the first one that has their user id.
    pub fn invoker(self) -> Self {
        self.names().first().copied().unwrap_or(self)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Alice => "alice",
            Self::Bob => "bob",
            Self::Robert => "robert",
            Self::Ops => "ops",
            Self::Root => "root",
        }
    }

    /// The user id that the name stands for.
    pub fn uid(self, alice: Alice) -> Option<u32> {
        match self {
            Self::Alice => alice.uid(),
            Self::Bob | Self::Robert => Some(1002),
            Self::Ops => Some(1005),
            Self::Root => Some(0),
        }
    }

    pub fn is_exempt(self) -> bool {
        matches!(self, Self::Ops | Self::Root)
    }
}

/// What became of alice's account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Alice {
    AsEver,
    /// She has another user id.
    Renumbered,
    /// There is no alice, and somebody else has her user id: she was renamed, or deleted and another made.
    Replaced,
}

impl Alice {
    const ALL: [Self; 3] = [Self::AsEver, Self::Renumbered, Self::Replaced];

    /// What can become of it next. Where her name is gone and nobody has her user id, it takes two seconds until that counts: that is left out.
    pub fn next(self) -> Vec<Self> {
        let left_out = |next: &Self| *next == self || (self, *next) == (Self::Renumbered, Self::Replaced);
        Self::ALL.into_iter().filter(|next| !left_out(next)).collect()
    }

    /// The user id that her name stands for.
    pub fn uid(self) -> Option<u32> {
        match self {
            Self::AsEver => Some(1001),
            Self::Renumbered => Some(2001),
            Self::Replaced => None,
        }
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
    /// Two files of one name.
    RunInA,
    RunInB,
    /// One of them by its name alone.
    Run,
}

impl Command {
    /// As it is typed behind sudo.
    pub fn typed(self) -> &'static str {
        match self {
            Self::Shell => "-i",
            Self::Id => "/usr/bin/id",
            Self::RunInA => "/opt/a/run",
            Self::RunInB => "/opt/b/run",
            Self::Run => "run",
        }
    }
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
