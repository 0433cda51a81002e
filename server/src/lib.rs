//! The central endpoint of Curfew: hosts, grants and the audit of a fleet.
//!
//! A host's call walks `listener → router → host_api → sets | store`; an administrator's `cli → admin_api → store`; a change walks
//! `store → endpoint → wake → the polls that are parked`.
#![forbid(unsafe_code)]

mod admin_api;
mod body;
mod cli;
mod config;
mod disk;
mod documents;
mod duration;
mod endpoint;
mod export;
mod health;
mod host_api;
mod host_name;
mod init;
mod keys;
mod labels;
mod listener;
mod owner;
pub mod policy;
mod refusal;
mod replay;
mod router;
mod secret;
mod seen;
mod serve;
mod sets;
mod sign_ins;
mod store;
mod tls;
mod unread;
mod version;
mod wake;

pub use cli::{command_line, run};
