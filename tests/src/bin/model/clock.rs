//! The clocks of this process, which stand where they are put (`tests/peers/wall_clock.c`).

use curfew::clock::boot_time;
use jiff::Timestamp;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The wall clock, and CLOCK_BOOTTIME.
pub struct Clock(File);

impl Clock {
    /// The clock that is preloaded.
    pub fn open() -> Self {
        let path = std::env::var("CURFEW_MODEL_CLOCK").expect("CURFEW_MODEL_CLOCK names a file");
        Self(File::options().write(true).open(path).expect("the clock's file can be opened"))
    }

    /// Puts them to a time in milliseconds since 1970, and since the boot.
    pub fn put(&self, now: i64, boot: i64) {
        let clocks = [now, boot].map(|it| (it * 1_000_000).to_ne_bytes()).concat();
        self.0.write_all_at(&clocks, 0).expect("the clock can be put");
        assert_eq!(i64::try_from(boot_time().as_millis()), Ok(boot), "wall_clock.so is not preloaded");
        assert_eq!(Timestamp::now().as_millisecond(), now, "wall_clock.so is not preloaded");
    }
}
