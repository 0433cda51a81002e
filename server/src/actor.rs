//! Who does something, as the log names them.

use jiff::Timestamp;

/// Who does something, and when. An empty name is the endpoint itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act<'a> {
    pub admin: &'a str,
    pub now: Timestamp,
}

/// What follows the name of somebody who works on the server itself.
const ON_THE_SERVER: &str = " on the server";

/// A user of the server's machine, as the log has them. No token has such a name.
pub(crate) fn name_on_the_server(user: &str) -> String {
    format!("{user}{ON_THE_SERVER}")
}

/// Whether this is the name of somebody who works on the server itself.
pub(crate) fn is_on_the_server(name: &str) -> bool {
    name.ends_with(ON_THE_SERVER)
}
