//! Doors beside the lock: services in which PAM does not ask us, though it is to. Their files came or were exchanged after `curfew enable`.

use super::service_file::{is_wired, service_file};
use super::{PAM_FOLDER, is_included};
use crate::config::Config;
use std::path::Path;

/// The services of the configuration that this host has and in which PAM does not ask us, though it does in others, or sudo still reads our rules:
/// both are what `curfew enable` leaves and `curfew disable` does not.
pub fn open(config: &Config) -> Vec<String> {
    let is_wired = |service: &String| is_wired(Path::new(PAM_FOLDER), service).unwrap_or(true);
    let (wired, open): (Vec<String>, Vec<String>) =
        config.services().filter(|service| service_file(service).is_some()).cloned().partition(is_wired);
    if wired.is_empty() && !is_included() { Vec::new() } else { open }
}

/// What is said of one of them, and what mends it.
pub fn tell(service: &str) -> String {
    format!("PAM does not ask Curfew about {service}: nobody is refused there; to wire it: curfew enable")
}
