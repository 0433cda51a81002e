//! The C programs of `tests/peers`, compiled into a host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command::run;
use crate::host::Host;

impl Host {
    /// Compiles `tests/peers/SOURCE` to the path `place` in the host, with these options of the compiler's.
    ///
    /// # Panics
    /// When it does not compile without a warning.
    pub fn compile(&self, source: &str, place: &str, options: &[&str]) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(source);
        let binary: PathBuf = self.path(place);
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&binary).arg(&source).args(options);
        run(&mut cc, Duration::from_secs(60)).expect_ok(&format!("cc {}", source.display()));
        assert!(fs::metadata(&binary).is_ok(), "the compiler left no {}", binary.display());
    }
}
