//! How long each test took, for the table at the end of `tests/run`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Instant;

/// Where the times go, a line each, if anywhere.
const FILE: &str = "CURFEW_TEST_TIMES";

/// A test that runs. Its time is written down when it ends, however it does.
#[derive(Debug)]
pub struct Timed {
    begun: Instant,
}

impl Timed {
    /// The test of this thread, from now on.
    #[must_use]
    pub fn begin() -> Self {
        Self { begun: Instant::now() }
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        let Some(path) = std::env::var_os(FILE) else { return };
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let line = format!("{:.1} {name}\n", self.begun.elapsed().as_secs_f64());
        // In one write, since several tests end at once. A test does not fail for want of a table.
        if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path) {
            let _ = file.write_all(line.as_bytes());
        }
    }
}
