//! Enforcement: what should be, compared with what is, and the difference mended.
//!
//! `reconcile` is the one function that every trigger calls. It works through `over` (what no grant covers is ended), `departure` (what a
//! person leaves behind when their last grant ends), `sudoers` (drop-ins, for the sudo that `sudo_flavour`
//! tells and `sudo_watch` watches, and `noninteractive` has ask PAM under `-n`, too; `sudo_view` has sudo say what they give; `host_sudoers` is what else it reads), `notice` (warnings and
//! `last_words` on `terminals`, HUP and TERM, which `hung_up` remembers) and `residue` (what sudo left
//! for later). Those stand on `sessions` and `run` (what the grants opened), `accounts` (whose each grant is on this host), `rules_in_place`, `adoption` (logins that no hook told of), `since` and `wired` (whether Curfew is in force, and where), `exempt_list` (whether anybody is exempt), `ending` (killing, with proof), `processes`, their `threads` and the `credentials` of these, the `table` of them, `scope` and `logind`.

pub mod accounts;
pub mod adoption;
pub mod claim;
pub mod credentials;
pub mod departure;
pub mod elevated;
pub mod ending;
pub mod exempt_list;
pub mod host_sudoers;
pub mod hung_up;
pub mod last_words;
pub mod logind;
pub mod noninteractive;
pub mod notice;
pub mod outer;
pub mod over;
pub mod processes;
pub mod reconcile;
pub mod residue;
pub mod rules_in_place;
pub mod run;
pub mod run_groups;
pub mod scope;
pub mod sessions;
pub mod since;
pub mod sudo_command;
pub mod sudo_flavour;
pub mod sudo_view;
pub mod sudo_watch;
pub mod sudoers;
pub mod table;
pub mod terminals;
pub mod threads;
pub mod wired;
