//! The central endpoint of Curfew: hosts, grants and the audit of a fleet.
//!
//! | call or change | walks |
//! |---|---|
//! | a host's call | `http/listener → http/router → http/host_api → sets`, `access` or `store` |
//! | an administrator's call | `cli → http/admin_api → access → store` |
//! | a change | `store → maintenance → sets/parked →` the polls that wait for it |
//!
//! Which room may import which is in `tests/tests/rooms/rules.rs`.
#![forbid(unsafe_code)]

mod access;
mod actor;
mod cli;
mod config;
mod duration;
mod host_name;
mod http;
mod identity;
mod init;
mod labels;
mod maintenance;
mod owner;
pub mod policy;
mod secret;
mod serve;
mod sets;
mod store;

pub use cli::{command_line, run};
