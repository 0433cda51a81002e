//! Calls over HTTPS and the local socket: who calls, what they want, and what is answered. It translates, and decides nothing.
//!
//! A call walks [`listener`] → [`router`] → [`host_api`] or [`admin_api`]; what it needs on its way is in [`state`].

pub(crate) mod admin_api;
mod bearer;
mod body;
mod drain;
mod error;
mod health;
mod host_api;
pub(crate) mod listener;
pub(crate) mod router;
pub(crate) mod schemas;
pub(crate) mod state;
pub(crate) mod tls;
mod upload_slots;
