//! The endpoint as hosts and administrators meet it: the real binary, on loopback, over HTTPS.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "endpoint/harness.rs"]
#[macro_use]
mod harness;
// `chaos` uses what is left of it.
#[path = "endpoint/postgres.rs"]
#[allow(dead_code)]
mod postgres;

#[path = "endpoint/admins.rs"]
mod admins;
#[path = "endpoint/audit.rs"]
mod audit;
#[path = "endpoint/command_line.rs"]
mod command_line;
#[path = "endpoint/enrolment.rs"]
mod enrolment;
#[path = "endpoint/faults.rs"]
mod faults;
#[path = "endpoint/grants.rs"]
mod grants;
#[path = "endpoint/hosts.rs"]
mod hosts;
#[path = "endpoint/keys.rs"]
mod keys;
#[path = "endpoint/limits.rs"]
mod limits;
#[path = "endpoint/lockdown.rs"]
mod lockdown;
#[path = "endpoint/polls.rs"]
mod polls;
#[path = "endpoint/quick_start.rs"]
mod quick_start;
#[path = "endpoint/requests.rs"]
mod requests;
#[path = "endpoint/revocations.rs"]
mod revocations;
#[path = "endpoint/servers.rs"]
mod servers;
#[path = "endpoint/sign_ins.rs"]
mod sign_ins;
#[path = "endpoint/tokens.rs"]
mod tokens;
#[path = "endpoint/trail.rs"]
mod trail;
