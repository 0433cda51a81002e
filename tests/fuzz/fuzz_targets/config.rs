//! The configuration.
#![no_main]

use libfuzzer_sys::fuzz_target;
use curfew::config::Config;

fuzz_target!(|text: &str| {
    let _ = Config::parse(std::path::Path::new("agent.toml"), text);
});
