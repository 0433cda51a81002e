//! Curfew on a host: the agent `curfewd` and its command line `curfew`.
//!
//! A request walks `ipc` (socket → peer → pam or methods) and `grant::decision` into `audit`. A grant walks `endpoint`
//! (poll → apply), or root's order, into `grant`, from there into `enforce`, which makes sessions and sudo rules match
//! it, and into `audit`. [`daemon`] makes the parts and runs the tasks, `cli` is what people type.

pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod descriptors;
pub mod digest;
pub mod doctor;
pub mod durable;
pub mod endpoint;
pub mod enforce;
pub mod grant;
pub mod host;
pub mod human;
pub mod ipc;
pub mod journal;
pub mod log;
pub mod residue;
pub mod sessions;
pub mod settings;
pub mod trigger;
pub mod wiring;
