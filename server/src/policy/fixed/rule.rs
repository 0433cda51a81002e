//! What each of the fixed rules says. Verdicts name them.

use serde::Serialize;
use std::fmt;

/// A fixed rule that refuses something.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fixed {
    /// A person who was deactivated does nothing.
    Disabled,
    /// A login name that belongs to no person asks, and does nothing else.
    Unknown,
    /// Auditors write nothing.
    Auditor,
    /// A token reviews nothing.
    Token,
    /// Nobody reviews their own request.
    OwnRequest,
    /// Nobody reviews a request that they filed for somebody else.
    OwnFiling,
    /// Nobody reviews a request by or for another account of theirs.
    OwnAccount,
    /// A request is for one host at least.
    NoHost,
    /// Break-glass is never silent: somebody else has to be there to be told, and to review it.
    NobodyToTell,
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "this person is deactivated",
            Self::Unknown => "a login name that belongs to no person may ask, and do nothing else",
            Self::Auditor => "members of the group auditors read, and change nothing",
            Self::Token => "a token reviews nothing; a person has to",
            Self::OwnRequest => "nobody reviews their own request",
            Self::OwnFiling => "nobody reviews a request that they filed themselves",
            Self::OwnAccount => "nobody reviews a request by or for an account of theirs",
            Self::NoHost => "a request is for one host at least",
            Self::NobodyToTell => "there is nobody else to be told of it and to review it afterwards",
        })
    }
}
