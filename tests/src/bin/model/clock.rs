//! The wall clock of this process, which stands where it is put (`tests/peers/wall_clock.c`).

use jiff::Timestamp;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The clock.
pub struct Clock(File);

impl Clock {
    /// The clock that is preloaded.
    pub fn open() -> Self {
        let path = std::env::var("CURFEW_MODEL_CLOCK").expect("CURFEW_MODEL_CLOCK names a file");
        Self(File::options().write(true).open(path).expect("the clock's file can be opened"))
    }

    /// Puts it to a time in milliseconds since 1970.
    pub fn put(&self, now: i64) {
        self.0.write_all_at(&(now * 1_000_000).to_ne_bytes(), 0).expect("the clock can be put");
        assert_eq!(Timestamp::now().as_millisecond(), now, "wall_clock.so is not preloaded");
    }
}
