//! [`HostName`]: what people call a host.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A host's name: 1 to 253 of `A-Z a-z 0-9 . _ -`, beginning with a letter or a digit, as DNS has them. None looks like an id: what is meant for the host
/// of an id reaches no host that calls itself so.
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
        if !first || !holds || name.len() > 253 {
            let name: String = name.chars().take(300).collect();
            return Err(format!(
                "{name:?} is no host name: 1 to 253 of A-Z a-z 0-9 . _ -, beginning with a letter or a digit"
            ));
        }
        if looks_like_an_id(&name) {
            return Err(format!("{name:?} is no host name: it looks like an id; take another name"));
        }
        Ok(Self(name))
    }
}

/// Whether it is written as ids are (ULID): 26 letters and digits of Crockford's base32, large or small.
fn looks_like_an_id(name: &str) -> bool {
    let is_base32 = |b: u8| b.is_ascii_alphanumeric() && !b"ILOU".contains(&b.to_ascii_uppercase());
    name.len() == 26 && name.bytes().all(is_base32)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::new_id;

    #[test]
    fn a_name_is_no_id() {
        for name in [new_id(), new_id().to_lowercase(), "-a".into(), "a/b".into(), String::new(), "a".repeat(254)] {
            assert!(name.parse::<HostName>().is_err(), "{name}");
        }
        for name in ["web-1", "a", "build-worker-0123456789-ab", "averylonghostname123456789"] {
            assert!(name.parse::<HostName>().is_ok(), "{name}");
        }
    }
}
