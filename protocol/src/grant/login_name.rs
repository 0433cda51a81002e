//! [`LoginName`]: a user's name on a host.

use serde::{Deserialize, Serialize};

/// A user's name: 1 to 256 of `A-Z a-z 0-9 _ . - @ +`, beginning with a letter, a digit, `_` or `.`, not a number, and not
/// sudoers' `ALL`.
///
/// Wider than useradd(8) allows, since directories hand out names like `first.last@example.org`; narrower than what
/// sudoers(5) or a path could take for something else.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct LoginName(Box<str>);

/// Why a text is no [`LoginName`].
#[derive(Debug, thiserror::Error)]
#[error("{name:?} is no user name: 1 to 256 of A-Z a-z 0-9 _ . - @ +, not beginning with - @ +, not a number, not ALL")]
pub struct LoginNameError {
    name: String,
}

impl LoginName {
    /// The super-user.
    pub fn root() -> Self {
        Self("root".into())
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LoginName {
    type Error = LoginNameError;

    fn try_from(name: String) -> Result<Self, LoginNameError> {
        let first = name.chars().next();
        let begins = first.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        let holds = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-@+".contains(c));
        let means_something_else = name == "ALL" || name.chars().all(|c| c.is_ascii_digit() || c == '.');
        if begins && holds && !means_something_else && name.len() <= 256 {
            Ok(Self(name.into()))
        } else {
            Err(LoginNameError { name })
        }
    }
}

impl std::str::FromStr for LoginName {
    type Err = LoginNameError;

    fn from_str(name: &str) -> Result<Self, LoginNameError> {
        name.to_owned().try_into()
    }
}

impl From<LoginName> for String {
    fn from(name: LoginName) -> Self {
        name.0.into()
    }
}

impl std::fmt::Display for LoginName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_are_accepted_and_tricks_are_not() {
        for name in ["alice", "first.last", "a", "_svc", "Bob", "x@corp.example", "1a"] {
            assert!(name.parse::<LoginName>().is_ok(), "{name}");
        }
        let long = "a".repeat(257);
        for name in [
            "",
            "-u",
            "%wheel",
            "#0",
            "+netgroup",
            "a b",
            "a\nb",
            "a/b",
            "..",
            "1001",
            "é",
            "a,b",
            "a=b",
            "a!",
            "ALL",
            &long,
        ] {
            assert!(name.parse::<LoginName>().is_err(), "{name}");
        }
    }
}
