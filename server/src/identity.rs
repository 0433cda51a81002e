//! Who calls: host tokens that were used, and sign-ins of administrators that failed.

pub(crate) mod replay;
pub(crate) mod sign_ins;
