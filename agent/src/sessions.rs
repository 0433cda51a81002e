//! What is open on this host: logins, and runs of sudo and su.
//!
//! `watch` adds what PAM opens to the `table` and notices when it ends; `session` is one login, `run` one run of sudo
//! or su, with its control group (`run_groups`), `outer` what it is within, and `claim` what it needs of its person's
//! grants for its `standing`, which `outlook` tells with that of the runs around it. `hung_up` remembers what had HUP
//! and TERM, `last_words` is what people are told at the end, and `person` says who is behind a process.

pub mod claim;
pub mod hung_up;
pub mod last_words;
pub mod outer;
pub mod outlook;
pub mod person;
pub mod run;
pub mod run_groups;
pub mod session;
pub mod standing;
pub mod table;
pub mod watch;
