//! Policy: who may ask for what, what a request needs, and who may approve it.
//!
//! It owns the schema, the policies that were read ([`Policies`]), and every decision that is made by them. It is pure: no clock, no file, no database and
//! no network; whoever asks brings the facts. Policies are Cedar, read once, checked strictly, and named by the digest of their text.
//!
//! - [`source`] cuts files into policies; [`annotations`] reads `@id`, `@needs`, `@zone` and `@advice`; [`mod@check`] makes [`Policies`] of them, or says what is
//!   wrong with file, line and column ([`Problem`]);
//! - [`facts`] are what decisions are about: people, hosts, what is asked; [`decide`] gives a [`Verdict`] or an [`Answer`] by the policies that [`index`] finds;
//! - [`fixed`] are the rules that hold whatever policies say; [`Needs`] is how many reviewers of which groups, and who is missing;
//! - [`people`], [`reach`], [`cases`] and [`diff`] are for authors: what nobody could ever do, tests beside the policies, what a new version changes.
//!
//! Whatever is unknown, late, malformed or fails to evaluate denies.

pub mod annotations;
pub mod cases;
pub mod check;
pub mod decide;
pub mod diff;
mod entities;
pub mod facts;
pub mod fixed;
mod index;
pub mod names;
pub mod needs;
pub mod people;
pub mod problem;
pub mod reach;
pub mod schema;
pub mod source;
#[cfg(test)]
mod testing;
pub mod verdict;

pub use check::{Policies, Rule};
pub use facts::{Asked, Asking, Channel, Host, Moment, Person, Request, Target, Ticket};
pub use names::{GroupName, PersonName, PolicyName};
pub use needs::Needs;
pub use problem::{Place, Problem, Severity};
pub use source::Source;
pub use verdict::{Answer, Approval, Permitted, Reason, Refused, Verdict, WhyNot};

/// The policies that the package brings, to begin with.
pub const DEFAULT: &str = include_str!("../../packaging/policy.cedar");

/// The cases that hold for them.
pub const DEFAULT_CASES: &str = include_str!("../../packaging/policy.cases.toml");
