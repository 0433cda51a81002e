//! Who gets access, and who loses it. Each use case decides, and is one transaction with its event in it; alone here grants and requests are written.
//!
//! | part | use cases |
//! |---|---|
//! | [`grants`] | create, revoke |
//! | [`hosts`] | remove, with what was granted there alone |
//! | [`lockdown`] | revoke all that a person, a host or labels have |
//! | [`requests`] | file, approve, deny |

pub(crate) mod grants;
pub(crate) mod hosts;
pub(crate) mod lockdown;
pub(crate) mod requests;
