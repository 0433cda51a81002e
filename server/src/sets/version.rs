//! A set's version as HTTP has it: its `ETag` (RFC 9110, section 8.8.3).

use std::fmt;
use std::str::FromStr;

/// Which set it is: what is in it, and not when it was signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Version {
    pub epoch: i64,
    pub ver: i64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}-{}\"", self.epoch, self.ver)
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(tag: &str) -> Result<Self, ()> {
        // `If-None-Match` compares weakly, and a proxy may have weakened the tag.
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).ok_or(())?;
        let (epoch, ver) = tag.split_once('-').ok_or(())?;
        Ok(Self { epoch: epoch.parse().map_err(|_| ())?, ver: ver.parse().map_err(|_| ())? })
    }
}

/// The version in an `If-None-Match` header; the first one that is ours, if it names several.
pub(crate) fn known(header: &str) -> Option<Version> {
    header.split(',').find_map(|tag| tag.trim().parse().ok())
}

/// The seconds that a `Prefer: wait=N` asks for (RFC 7240, section 4.3).
pub(crate) fn wait(header: &str) -> Option<u64> {
    header.split(',').find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("wait") {
            return None;
        }
        value.trim().trim_matches('"').parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_comes_back_and_others_are_not_ours() {
        let version = Version { epoch: 2, ver: 17 };
        assert_eq!(version.to_string(), "\"2-17\"");
        for header in ["\"2-17\"", "W/\"2-17\"", "\"abc\", \"2-17\"", "  \"2-17\" "] {
            assert_eq!(known(header), Some(version), "{header}");
        }
        for header in ["*", "2-17", "\"2-\"", "\"-\"", "", "\"2-17-1\""] {
            assert_eq!(known(header), None, "{header}");
        }
    }

    #[test]
    fn a_wait_is_found_among_other_preferences() {
        for (header, seconds) in [
            ("wait=60", Some(60)),
            ("respond-async, wait=10; foo", Some(10)),
            ("Wait = \"5\"", Some(5)),
            ("wait", None),
            ("wait=-1", None),
            ("wait=soon", None),
            ("handling=strict", None),
        ] {
            assert_eq!(wait(header), seconds, "{header}");
        }
    }
}
