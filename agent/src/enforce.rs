//! Enforcement: what should be, compared with what is, and the difference mended.
//!
//! `reconcile` is the one function that every trigger calls. It works through `sudoers` (drop-ins), `sessions` (what the grants
//! opened), `ending` (killing, with proof), `notice` (warnings on `terminals`, HUP and TERM), and stands on `processes`, `scope` and `logind`.

pub mod ending;
pub mod logind;
pub mod notice;
pub mod processes;
pub mod reconcile;
pub mod scope;
pub mod sessions;
pub mod since;
pub mod sudo_command;
pub mod sudoers;
pub mod terminals;
