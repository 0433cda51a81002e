//! A place in the trail, as pages name it.

use std::str::FromStr;

/// A place in the trail: the last row that was seen. What happened at this endpoint is a spool of its own, 0.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct TrailCursor {
    pub(super) at: i64,
    pub(super) spool: i64,
    pub(super) seq: i64,
}

impl std::fmt::Display for TrailCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.at, self.spool, self.seq)
    }
}

impl FromStr for TrailCursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no place in the audit; take `next` of the page before");
        let numbers: Option<Vec<i64>> = text.split('.').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[at, spool, seq]) => Ok(Self { at, spool, seq }),
            _ => Err(bad()),
        }
    }
}
