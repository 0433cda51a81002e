//! What hosts fetch: their sets, signed with the keys that they pin, at once or when something changes.
//!
//! The [`store`](crate::store) says where a host stands; what comes of it goes out by the host API, or as [files](export).

pub(crate) mod export;
pub(crate) mod keys;
pub(crate) mod last_seen;
pub(crate) mod parked;
pub(crate) mod signed;
pub(crate) mod version;
