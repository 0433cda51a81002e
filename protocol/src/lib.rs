//! What travels between the parts of Curfew.
//!
//! - [`ipc`]: the questions that the PAM module asks the agent, and its answers.
//! - [`varlink`]: the blocking client that carries them over a Unix socket.
//! - [`grant`]: the approved grant, as JSON and as types that can't hold a bad value.
//! - [`audit`]: the audit record, its events and its journald fields.
//!
//! The PAM module uses [`ipc`] and [`varlink`] alone; the feature `grant` adds the rest.
#![forbid(unsafe_code)]

#[cfg(feature = "grant")]
pub mod audit;
#[cfg(feature = "grant")]
pub mod grant;
pub mod ipc;
pub mod varlink;
