//! Curfew on a host: the agent `curfewd` and its command line `curfew`.
//!
//! A request walks `request` (server → peer → pam or admin → decision) into `audit`. A grant walks `endpoint` (sync → apply), or root's
//! order, into `grant`, from there into `enforce`, which makes sessions and sudo rules match it, and into `audit`. [`daemon`] runs the tasks, [`agent`] is what they share, `cli` is what
//! people type.

pub mod access_paths;
pub mod account;
pub mod agent;
pub mod apart;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod deadline;
pub mod descriptors;
pub mod doctor;
pub mod durable;
pub mod endpoint;
pub mod enforce;
pub mod glob;
pub mod grant;
pub mod guard_timer;
pub mod human;
pub mod journal;
pub mod log;
pub mod owner;
pub mod program;
pub mod request;
pub mod selinux;
pub mod sweep;
pub mod user_database;
pub mod wiring;
