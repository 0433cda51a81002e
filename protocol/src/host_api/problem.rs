//! Errors on the wire: problem details for HTTP APIs (RFC 9457).

use serde::{Deserialize, Serialize};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// What kind of problem it is.
    #[serde(rename = "type")]
    pub kind: ProblemKind,
    /// The kind in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What it was this time, and the next step.
    pub detail: String,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal $status:literal $title:literal)*) => {
        /// The kinds of problems that a host or an administrator can tell apart.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
        pub enum ProblemKind {
            $($(#[doc = $doc])* #[serde(rename = $name)] $variant,)*
            /// Any other.
            #[serde(rename = "about:blank", other)]
            Other,
        }

        impl ProblemKind {
            /// The URI in `type`.
            pub fn uri(self) -> &'static str {
                match self { $(Self::$variant => $name,)* Self::Other => "about:blank" }
            }

            /// The HTTP status that goes with it.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* Self::Other => 500 }
            }

            /// The kind in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* Self::Other => "Something went wrong" }
            }
        }
    };
}

kinds! {
    /// The request says something that means nothing.
    BadRequest "urn:curfew:bad-request" 400 "The request can't be understood"
    /// No or no good token of a host or an administrator.
    Unauthorized "urn:curfew:unauthorized" 401 "The token is not good"
    /// The token's times are not those of the endpoint's clock; `Date` has the endpoint's.
    Clock "urn:curfew:clock" 401 "The clocks differ"
    /// The token was used before.
    Replayed "urn:curfew:replayed" 401 "The token was used before"
    /// The host was removed, or never was there.
    NoSuchHost "urn:curfew:no-such-host" 401 "There is no such host"
    /// The enrolment token is unknown, used by another key, or too old.
    EnrolmentToken "urn:curfew:enrolment-token" 403 "The enrolment token is not good"
    /// Not what this token is for.
    Forbidden "urn:curfew:forbidden" 403 "That is not allowed"
    /// Nothing of this name.
    NotFound "urn:curfew:not-found" 404 "There is nothing of this name"
    /// It contradicts what is there.
    Conflict "urn:curfew:conflict" 409 "It contradicts what is there"
    /// Too long.
    TooLarge "urn:curfew:too-large" 413 "It is too large"
    /// Too many at once; `Retry-After` says when to come back.
    TooMany "urn:curfew:too-many" 429 "Too many requests"
    /// The database or another part of the endpoint is away.
    Unavailable "urn:curfew:unavailable" 503 "The endpoint can't answer now"
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, title: kind.title().into(), status: kind.status(), detail: detail.into() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_comes_back_as_it_was_written_and_an_unknown_kind_is_another() {
        let problem = Problem::new(ProblemKind::Clock, "iat is 7 s ahead");
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["type"], "urn:curfew:clock");
        assert_eq!(serde_json::from_value::<Problem>(json.clone()).unwrap(), problem);
        let mut other = json;
        other["type"] = "https://example.com/out-of-credit".into();
        assert_eq!(serde_json::from_value::<Problem>(other).unwrap().kind, ProblemKind::Other);
    }
}
