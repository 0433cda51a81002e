//! What PAM asks and what people ask: the sockets, who is at the other end, and what is answered.
//!
//! `accept`, `pam_socket` and `public_socket` take connections and bound them, `varlink` is the wire, `peer` says who
//! is at the other end, `person` which person that is. `pam` answers PAM; `methods` answers root, and `anybody` all
//! others. `client` is root's way to all of that. `confirmed` and `rehearsed` have the audit hear of `curfew confirm`
//! and of the trial of `curfew enable`, `program_check` says what a command that root grants leads to, `no_effect` what
//! changes nothing on this host, `messages` is the JSON that people exchange with the agent, and `wording` what they
//! hear.

pub mod accept;
pub mod answer;
pub mod anybody;
pub mod client;
pub mod confirmed;
pub mod messages;
pub mod methods;
pub mod no_effect;
pub mod pam;
pub mod pam_socket;
pub mod peer;
pub mod person;
pub mod program_check;
pub mod public_socket;
pub mod rehearsed;
pub mod varlink;
pub mod wording;
