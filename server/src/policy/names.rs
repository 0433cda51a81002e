//! The names of people, groups and policies: types that can't hold what could be taken for something else.

use curfew_protocol::display::misleads;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The longest name of a person or a group, in bytes.
const LONGEST: usize = 256;

/// The longest name of a policy.
const LONGEST_POLICY: usize = 64;

/// Why a text is no name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NameError {
    /// Not a person's, nor a group's.
    #[error("{0:?} is no name: 1 to {LONGEST} bytes without control characters, and no space at either end")]
    Name(String),
    /// Not a policy's.
    #[error("{0:?} is no policy id: 1 to {LONGEST_POLICY} of A-Z a-z 0-9 . _ -, beginning with a letter or a digit")]
    Policy(String),
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $holds:expr, $error:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                if $holds(&name) { Ok(Self(name.into())) } else { Err($error(name.chars().take(LONGEST).collect())) }
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::try_from(name.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A person's name at this endpoint. Whoever keeps people never gives one out twice: policies and records go by it.
    PersonName, is_name, NameError::Name
);
name!(
    /// A group's name, as the identity provider or an administrator writes it.
    GroupName, is_name, NameError::Name
);
name!(
    /// A policy's name, from its `@id`.
    PolicyName, is_policy_name, NameError::Policy
);

fn is_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.trim() == name && !name.chars().any(misleads)
}

fn is_policy_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    first && name.len() <= LONGEST_POLICY && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_drives_no_terminal_and_a_policys_is_a_word() {
        for name in ["", " a", "a ", "a\nb", "\u{202e}a", "\u{200b}", &"a".repeat(257)] {
            assert!(name.parse::<GroupName>().is_err(), "{name:?}");
            assert!(name.parse::<PersonName>().is_err(), "{name:?}");
        }
        for name in ["sre", "Domain Admins", "team:web", "Łukasz", "a@b.example"] {
            assert!(name.parse::<GroupName>().is_ok(), "{name:?}");
        }
        for name in ["", "-a", "a b", "a/b", "é", &"a".repeat(65)] {
            assert!(name.parse::<PolicyName>().is_err(), "{name:?}");
        }
        assert!("dev-asks.2_x".parse::<PolicyName>().is_ok());
    }
}
