//! What the stand-in does wrong when it is asked for a grant set.

/// A fault. All but the last six are answers with status 200.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// None.
    None,
    /// A set whose signature has one byte changed.
    WrongSignature,
    /// A set signed by a key that was never announced.
    UnknownKey,
    /// A set for another host.
    OtherHost,
    /// A set from before: version 0.
    Older,
    /// A set that says it was signed tomorrow.
    Future,
    /// A set that was fresh until a minute ago.
    Expired,
    /// Half of a set, as a whole answer.
    Truncated,
    /// An answer whose head promises a gigabyte, and that brings it as fast as it can.
    Gigabyte,
    /// A body without an end: chunk after chunk, slowly.
    NeverEnding,
    /// A captive portal's page.
    Portal,
    /// JSON that is signed and no set.
    NoSet,
    /// This status and nothing more; with `Retry-After` where one is given, in seconds.
    Status(u16, Option<u32>),
    /// A redirect to a set elsewhere.
    Redirect,
    /// The connection ends in the middle of the body.
    CutMidBody,
    /// The connection ends before the answer.
    HangUp,
    /// Nothing is answered, for ever.
    Silent,
    /// Plain HTTP where TLS is expected.
    PlainHttp,
}
