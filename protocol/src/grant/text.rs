//! [`GrantId`] and [`Text`]: names and free text that are safe in file names, on terminals and in journal fields.

use crate::display;
use serde::{Deserialize, Serialize};

/// A grant's id: 1 to 64 of `A-Z a-z 0-9 _ -`. It is a file name that sudo reads, too.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct GrantId(Box<str>);

/// Why a text is no [`GrantId`].
#[derive(Debug, thiserror::Error)]
#[error("{id:?} is no grant id: 1 to 64 of A-Z a-z 0-9 _ -")]
pub struct GrantIdError {
    id: String,
}

/// Free text: 1 to 1024 bytes without control characters, so that it can't drive a terminal or split a record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text(Box<str>);

/// Why a text is no [`Text`].
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// Nothing, or white space alone.
    #[error("it is empty")]
    Empty,
    /// Too long.
    #[error("{0} bytes, and 1024 is the most")]
    TooLong(usize),
    /// A control character or a character that reorders text.
    #[error("{0:?} has a control character")]
    Control(String),
}

impl GrantId {
    /// The id itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Text {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for GrantId {
    type Error = GrantIdError;

    fn try_from(id: String) -> Result<Self, GrantIdError> {
        let holds = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if holds && (1..=64).contains(&id.len()) { Ok(Self(id.into())) } else { Err(GrantIdError { id }) }
    }
}

impl TryFrom<String> for Text {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        if text.trim().is_empty() {
            Err(TextError::Empty)
        } else if text.len() > 1024 {
            Err(TextError::TooLong(text.len()))
        } else if text.chars().any(|c| c.is_control() || display::reorders(c)) {
            Err(TextError::Control(text))
        } else {
            Ok(Self(text.into()))
        }
    }
}

impl std::str::FromStr for GrantId {
    type Err = GrantIdError;

    fn from_str(id: &str) -> Result<Self, GrantIdError> {
        id.to_owned().try_into()
    }
}

impl std::str::FromStr for Text {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        text.to_owned().try_into()
    }
}

impl From<GrantId> for String {
    fn from(id: GrantId) -> Self {
        id.0.into()
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0.into()
    }
}

impl std::fmt::Display for GrantId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_file_name_that_sudo_reads() {
        for id in ["", ".", "..", "a.b", "a~", "a/b", "a b", &"a".repeat(65)] {
            assert!(id.parse::<GrantId>().is_err(), "{id}");
        }
        assert!("01JD8Z6Q3M4T5V6W7X8Y9Z0A1B".parse::<GrantId>().is_ok());
    }

    #[test]
    fn text_can_not_drive_a_terminal() {
        for text in ["", "  ", "a\nb", "\u{1b}[2J", "\u{202e}desrever", "\u{9b}31m", &"x".repeat(1025)] {
            assert!(text.parse::<Text>().is_err(), "{text:?}");
        }
        assert!("INC-4711 disk full, näher am Ende".parse::<Text>().is_ok());
    }
}
