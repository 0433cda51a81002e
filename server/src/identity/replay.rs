//! Host tokens that were used: each is good once.
//!
//! Each server remembers for itself, in memory: a token that was stolen could be used once more at another server, or after a restart, within its
//! two minutes and for its one body.

use aws_lc_rs::digest::{SHA256, digest};
use curfew_protocol::grant_set::HostId;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// The most tokens of one host that are remembered at a time.
const MOST_PER_HOST: usize = 1024;

/// The longest name of a token, in bytes.
const LONGEST_NAME: usize = 128;

/// The tokens that were used, until they would be too old anyway.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    used: Mutex<HashMap<HostId, VecDeque<Used>>>,
}

#[derive(Debug)]
struct Used {
    name: [u8; 16],
    until: i64,
}

/// Why a token is not good for this use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// It was used.
    Before,
    /// The host has used too many lately.
    TooMany,
    /// Its name is too long.
    TooLong,
}

impl Replay {
    /// Remembers a token of `host` until then, in seconds since 1970; once.
    pub(crate) fn first_use(&self, host: &HostId, name: &str, until: i64, now: i64) -> Result<(), Refused> {
        if name.len() > LONGEST_NAME {
            return Err(Refused::TooLong);
        }
        let name = short(name);
        let mut all = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let used = all.entry(host.clone()).or_default();
        used.retain(|used| used.until >= now);
        if used.iter().any(|used| used.name == name) {
            return Err(Refused::Before);
        }
        if used.len() >= MOST_PER_HOST {
            return Err(Refused::TooMany);
        }
        used.push_back(Used { name, until });
        Ok(())
    }

    /// Forgets what is too old.
    pub(crate) fn forget(&self, now: i64) {
        let mut all = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, used| {
            used.retain(|used| used.until >= now);
            !used.is_empty()
        });
    }
}

/// 128 bits of the name's hash: names are the host's to choose, and take the same room each.
fn short(name: &str) -> [u8; 16] {
    let mut short = [0; 16];
    for (to, from) in short.iter_mut().zip(digest(&SHA256, name.as_bytes()).as_ref()) {
        *to = *from;
    }
    short
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_once_and_each_host_has_its_own() {
        let replay = Replay::default();
        let [one, other]: [HostId; 2] = ["one", "other"].map(|name| name.parse().unwrap());
        assert_eq!(replay.first_use(&one, "a", 120, 0), Ok(()));
        assert_eq!(replay.first_use(&one, "a", 120, 120), Err(Refused::Before));
        assert_eq!(replay.first_use(&other, "a", 120, 0), Ok(()));
        assert_eq!(replay.first_use(&one, &"a".repeat(129), 120, 0), Err(Refused::TooLong));
        for n in 1..MOST_PER_HOST {
            assert_eq!(replay.first_use(&one, &format!("b{n}"), 120, 0), Ok(()));
        }
        assert_eq!(replay.first_use(&one, "c", 120, 0), Err(Refused::TooMany));
        assert_eq!(replay.first_use(&one, "c", 241, 121), Ok(()));
        replay.forget(242);
        assert!(replay.used.lock().unwrap().is_empty());
    }
}
