//! Requests: what PAM asks and what people ask, who they are, and what is answered.
//!
//! `accept`, `pam_socket` and `server` take connections and bound them, `peer` says who is at the other end, `person` which person that is, `pam`, `admin`, `endpoint`,
//! `anybody` and `service` answer, `client` is root's way to all of that, and `decision` is the pure heart: a request and the grants and a time in, a verdict out. `watch` hands what opens over to enforcement,
//! `unit` tells what PID 1 opens from people's logins, `again`, `uncovered` and `rehearsed` say which of PAM's questions are no record of their own, or get one later,
//! `confirmed` has the audit hear of `curfew confirm`, `program_check`, `interpreter` and `starts_shell` say what a command that root grants leads to,
//! `no_effect` what changes nothing on this host,
//! `messages` is the JSON that people exchange with the agent, and `wording` what they hear from PAM.

pub mod accept;
pub mod admin;
pub mod again;
pub mod anybody;
pub mod client;
pub mod confirmed;
pub mod decision;
pub mod endpoint;
pub mod interpreter;
pub mod messages;
pub mod no_effect;
pub mod pam;
pub mod pam_socket;
pub mod peer;
pub mod person;
pub mod program_check;
pub mod rehearsed;
pub mod server;
pub mod service;
pub mod starts_shell;
pub mod system_account;
pub mod uncovered;
pub mod unit;
pub mod watch;
pub mod within;
pub mod wording;
