//! What the figures were taken on.

use std::fmt::{self, Display};
use std::fs;
use std::num::NonZero;

use serde_json::{Value, json};

/// The machine below the throwaway host.
pub struct Machine {
    release: String,
    kernel: String,
    processor: String,
    processors: usize,
}

impl Machine {
    /// This machine, running a host of `release`.
    pub fn this(release: &str) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            release: release.to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor: model.map_or("unknown", |(_, name)| name).to_owned(),
            processors: std::thread::available_parallelism().map_or(1, NonZero::get),
        }
    }

    /// As an object.
    pub fn to_json(&self) -> Value {
        json!({
            "host": self.release, "kernel": self.kernel, "processor": self.processor, "processors": self.processors,
        })
    }
}

impl Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "A {} host on Linux {}, {} x {}", self.release, self.kernel, self.processors, self.processor)
    }
}
