//! [`Window`]: the time in which a grant holds.

use jiff::Timestamp;

/// From `not_before` on, and until just before `not_after`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    not_before: Timestamp,
    not_after: Timestamp,
}

/// Why two times make no [`Window`].
#[derive(Debug, thiserror::Error)]
#[error("the window ends before it begins: not_before {not_before}, not_after {not_after}")]
pub struct WindowError {
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Window {
    /// The window between two times.
    ///
    /// # Errors
    ///
    /// [`WindowError`] where no instant lies in it.
    pub fn new(not_before: Timestamp, not_after: Timestamp) -> Result<Self, WindowError> {
        if not_before < not_after {
            Ok(Self { not_before, not_after })
        } else {
            Err(WindowError { not_before, not_after })
        }
    }

    /// The first instant at which it holds.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The first instant at which it no longer holds.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether it holds at `now`.
    pub fn contains(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    proptest! {
        #[test]
        fn a_window_holds_its_first_instant_and_not_its_last(begin in 0_i64..4_000_000_000, length in 1_i64..1_000_000) {
            let window = Window::new(at(begin), at(begin + length)).unwrap();
            prop_assert!(window.contains(at(begin)));
            prop_assert!(window.contains(at(begin + length - 1)));
            prop_assert!(!window.contains(at(begin + length)));
            prop_assert!(!window.contains(at(begin - 1)));
        }

        #[test]
        fn a_window_that_ends_before_it_begins_is_none(begin in 0_i64..4_000_000_000, length in 0_i64..1_000_000) {
            prop_assert!(Window::new(at(begin), at(begin - length)).is_err());
        }
    }
}
