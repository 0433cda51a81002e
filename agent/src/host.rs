//! The host: its facts and its levers. Nothing here knows of grants, and nothing of the crate is imported.
//!
//! | part | what |
//! |---|---|
//! | `proc`, `processes`, `threads`, `credentials`, `plain`, `user_namespace` | processes by PID and start time, their rights, signals that hit no stranger |
//! | `descendants`, `process_table` | the processes of one moment, and how they descend from each other |
//! | `cgroup` | control groups: sessions, users' managers, runs of sudo |
//! | `logind`, `systemd`, `guard_timer` | what logind knows, what PID 1 does |
//! | `terminals` | words on people's terminals |
//! | `users`, `system_account` | the user database |
//! | `sudo`, `sudoers`, `sudo_list` | which sudo the host runs, what it reads, and what it gives |
//! | `files`, `mounts` | files that hostile people may have put there |
//! | `program`, `apart` | other programs, and work on threads of its own |
//! | `glob`, `selinux` | patterns as the host's programs read them, and whether SELinux is loaded |

pub mod apart;
pub mod cgroup;
pub mod credentials;
pub mod descendants;
pub mod files;
pub mod glob;
pub mod guard_timer;
pub mod logind;
pub mod mounts;
pub mod plain;
mod proc;
pub mod process_table;
pub mod processes;
pub mod program;
pub mod selinux;
pub mod sudo;
pub mod sudo_list;
pub mod sudoers;
pub mod system_account;
pub mod systemd;
pub mod terminals;
mod threads;
pub mod user_namespace;
pub mod users;
