//! What travels between the parts of Curfew.
//!
//! - [`ipc`]: the questions that the PAM module asks the agent, and its answers.
//! - [`varlink`]: the blocking client that carries them over a Unix socket.
//! - [`display`]: text and tables that drive no terminal.
//! - [`exempt`]: the list of users whom Curfew never refuses.
//! - [`grant`]: the approved grant, as JSON and as types that can't hold a bad value.
//! - [`audit`]: the audit record, its events and its journald fields.
//! - [`human_time`]: durations and times as people write and read them.
//! - [`jws`]: signatures, and the keys that make them.
//! - [`grant_set`]: all that one host holds by the endpoint's word, signed.
//! - [`host_api`]: what a host and the endpoint say to each other.
//!
//! The PAM module uses [`ipc`], [`varlink`], [`exempt`] and [`display`] alone; the feature `grant` adds grants and the audit, and `endpoint` what crosses the network.
#![forbid(unsafe_code)]

#[cfg(feature = "grant")]
pub mod audit;
pub mod display;
pub mod exempt;
#[cfg(feature = "grant")]
pub mod grant;
#[cfg(feature = "endpoint")]
pub mod grant_set;
#[cfg(feature = "endpoint")]
pub mod host_api;
#[cfg(feature = "grant")]
pub mod human_time;
pub mod ipc;
#[cfg(feature = "endpoint")]
pub mod jws;
pub mod varlink;
