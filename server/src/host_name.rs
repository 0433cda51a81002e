//! [`HostName`]: what people call a host.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A host's name: 1 to 253 of `A-Z a-z 0-9 . _ -`, beginning with a letter or a digit, as DNS has them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct HostName(String);

impl HostName {
    /// The name itself.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HostName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let holds = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if first && holds && name.len() <= 253 {
            Ok(Self(name))
        } else {
            let name: String = name.chars().take(300).collect();
            Err(format!("{name:?} is no host name: 1 to 253 of A-Z a-z 0-9 . _ -, beginning with a letter or a digit"))
        }
    }
}

impl FromStr for HostName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::try_from(name.to_owned())
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
