//! What travels between the parts of Curfew.
//!
//! - [`ipc`]: the questions that the PAM module asks the agent, and its answers.
//! - [`varlink`]: the blocking client that carries them over a Unix socket.
//! - [`exempt`]: the list of users whom Curfew never refuses.
//! - [`grant`]: the approved grant, as JSON and as types that can't hold a bad value.
//! - [`audit`]: the audit record, its events and its journald fields.
//!
//! The PAM module uses [`ipc`], [`varlink`] and [`exempt`] alone; the feature `grant` adds the rest.
#![forbid(unsafe_code)]

#[cfg(feature = "grant")]
pub mod audit;
pub mod exempt;
#[cfg(feature = "grant")]
pub mod grant;
pub mod ipc;
pub mod varlink;
