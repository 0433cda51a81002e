//! Enforcement: what should be, compared with what is, and the difference mended.
//!
//! `reconcile` is the one function that every trigger calls. It works through `terminate` (what no grant covers is
//! ended, by `kill`, with proof; `closing` is what ended by itself, `elevated` being what a run of sudo left),
//! `departure` (what a person leaves behind when their last grant ends), `drop_ins` (with rules in the words of
//! `sudoers`, for the host's sudo, which `sudo_watch` watches; `noninteractive` has it ask PAM under `-n`, too, and
//! `sudo_view` has it say what they give) and `notice` (warnings, last words, HUP and TERM), and has PID 1 keep the
//! next end (`deadline`). Those stand on `adoption` (logins that no hook told of), `in_force` and `wired_services`
//! (whether Curfew is in force, and where). `status` is what others may read of all that.

pub mod adoption;
pub mod closing;
pub mod deadline;
pub mod departure;
pub mod drop_ins;
pub mod elevated;
pub mod in_force;
pub mod kill;
pub mod noninteractive;
pub mod notice;
pub mod reconcile;
pub mod status;
pub mod sudo_view;
pub mod sudo_watch;
pub mod sudoers;
pub mod terminate;
pub mod terminations;
pub mod wired_services;
