//! The central endpoint of Curfew: hosts, grants and the audit of a fleet.
//!
//! A host's call walks `http/listener → http/router → http/host_api → sets | store`; an administrator's `cli → http/admin_api → store`; a change walks
//! `store → sets/parked → the polls that wait for it`.
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
mod secret;
mod serve;
mod sets;
mod store;

pub use cli::{command_line, run};
