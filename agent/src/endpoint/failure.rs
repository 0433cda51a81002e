//! What can go wrong between this host and its endpoint, in words that end with the next step.

use super::identity::IdentityError;
use curfew_protocol::grant_set::SetError;
use curfew_protocol::host_api::{Problem, ProblemKind};
use jiff::Timestamp;
use std::error::Error as _;
use std::time::Duration;

/// Why an exchange with the endpoint came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The host's own state is in the way.
    #[error(transparent)]
    Own(#[from] IdentityError),
    /// The authorities to believe can't be used.
    #[error("the authorities that are to vouch for the endpoint can't be used: {0}; give a PEM file with --ca")]
    Authorities(String),
    /// The name leads nowhere.
    #[error("the endpoint's name can't be looked up: {0}; check the address and this host's DNS")]
    Name(String),
    /// Nobody answers there.
    #[error("the endpoint can't be reached: {0}; check the address, the network and that it runs")]
    Unreachable(String),
    /// Whoever answers can't prove to be the endpoint.
    #[error("whoever answers there is not believed: {0}")]
    Certificate(String),
    /// Not a word of TLS 1.3.
    #[error("no TLS 1.3 is spoken there: {0}; check the port")]
    Tls(String),
    /// No answer in time.
    #[error("the endpoint did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The connection broke off.
    #[error("the connection broke off: {0}")]
    Broken(String),
    /// More than is read.
    #[error("the answer is longer than {0} bytes, which is the most that is read")]
    TooLong(usize),
    /// Sent elsewhere.
    #[error("the answer is {status}, to {to:?}: no redirect is followed; use the endpoint's own address")]
    Redirected {
        /// The HTTP status.
        status: u16,
        /// Where to.
        to: String,
    },
    /// The endpoint says what is wrong.
    #[error("the endpoint says: {} ({})", .problem.detail, .problem.title)]
    Problem {
        /// What it says.
        problem: Problem,
        /// When to come back.
        retry_after: Option<Duration>,
        /// The endpoint's time.
        date: Option<Timestamp>,
    },
    /// A status without an explanation.
    #[error("the answer is {status} without an explanation; check that this is the endpoint's address")]
    Status {
        /// The HTTP status.
        status: u16,
        /// When to come back.
        retry_after: Option<Duration>,
    },
    /// Something else than was asked for.
    #[error("the answer is {found}, and {wanted} was expected; look for what answers in the endpoint's stead")]
    OtherContent {
        /// What it is.
        found: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A set that is not believed.
    #[error("the set is refused: {0}")]
    Refused(#[from] SetError),
    /// A set that can't be stored.
    #[error("the set can't be stored: {0}; it ends what it has no more, and opens nothing new")]
    Unstored(String),
    /// A file that nobody signs any more.
    #[error("the set there was fresh until {0}, and no newer one is there; check that its export runs")]
    NotFresh(Timestamp),
}

impl Failure {
    /// One word for what kind it is: two of one kind are told once.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Own(_) => "own",
            Self::Authorities(_) => "authorities",
            Self::Name(_) => "name",
            Self::Unreachable(_) => "unreachable",
            Self::Certificate(_) => "certificate",
            Self::Tls(_) => "tls",
            Self::TimedOut(_) => "timed_out",
            Self::Broken(_) => "broken",
            Self::TooLong(_) => "too_long",
            Self::Redirected { .. } => "redirected",
            Self::Problem { problem, .. } => problem.kind.uri(),
            Self::Status { status, .. } if *status >= 500 => "status 5xx",
            Self::Status { status: 404, .. } => "status 404",
            Self::Status { status: 410, .. } => "status 410",
            Self::Status { status: 429, .. } => "status 429",
            Self::Status { .. } => "status",
            Self::OtherContent { .. } => "other_content",
            Self::Refused(error) => refusal(error),
            Self::Unstored(_) => "unstored",
            Self::NotFresh(_) => "not_fresh",
        }
    }

    /// Why a set was refused, for a record that says already that it was.
    pub fn of_set(&self) -> Option<String> {
        match self {
            Self::Refused(error) => Some(error.to_string()),
            Self::Unstored(_) => Some(self.to_string()),
            _ => None,
        }
    }

    /// Whether the endpoint has answered, and said no: that is no blip, and asking again soon changes nothing.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Problem { problem, .. } => matches!(
                problem.kind,
                ProblemKind::NoSuchHost | ProblemKind::Unauthorized | ProblemKind::Forbidden | ProblemKind::NotFound
            ),
            Self::Status { status, .. } => matches!(status, 401 | 403 | 404 | 410),
            Self::Own(_) | Self::Authorities(_) => true,
            _ => false,
        }
    }

    /// When the endpoint wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } | Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What kept a request from its answer.
    pub fn of_request(error: &reqwest::Error, patience: Duration) -> Self {
        if let Some(tls) = tls_error(error) {
            return Self::of_tls(tls);
        }
        let cause = root_cause(error);
        match error {
            _ if error.is_timeout() => Self::TimedOut(patience),
            _ if error.is_dns() || cause.contains("lookup address") => Self::Name(cause),
            _ if error.is_connect() => Self::Unreachable(cause),
            _ => Self::Broken(cause),
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        use rustls::CertificateError as Bad;
        use rustls::Error as Tls;
        let clock = "check this host's clock; if that is right, the endpoint needs a new certificate";
        let next = match error {
            Tls::InvalidCertificate(bad) => match bad {
                Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. } => clock,
                Bad::NotValidForName | Bad::NotValidForNameContext { .. } => "use the name that its certificate has",
                _ => "if this is the endpoint, give the file of the authority that vouches for it with --ca",
            },
            Tls::NoCertificatesPresented => "it shows no certificate",
            _ => return Self::Tls(error.to_string()),
        };
        Self::Certificate(format!("{error}; {next}"))
    }
}

fn refusal(error: &SetError) -> &'static str {
    match error {
        SetError::Jws(_) => "refused: signature",
        SetError::UnknownKey { .. } => "refused: unknown key",
        SetError::OtherHost { .. } => "refused: other host",
        SetError::Older { .. } => "refused: older",
        SetError::Future { .. } => "refused: future",
        SetError::Expired { .. } => "refused: expired",
        SetError::Document(_) => "refused: document",
    }
}

/// The error of TLS somewhere behind an error. An I/O error hides what it carries from its chain of sources.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        let carried = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match carried {
            Some(carried) => Some(carried),
            None => error.source(),
        };
    }
    None
}

/// The innermost error alone: what wraps it says the same in more words.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_no_is_final_and_a_bad_day_is_not() {
        let problem = |kind| Failure::Problem { problem: Problem::new(kind, "x"), retry_after: None, date: None };
        assert!(problem(ProblemKind::NoSuchHost).is_final());
        assert!(!problem(ProblemKind::Unavailable).is_final());
        assert!(!problem(ProblemKind::Clock).is_final());
        for (status, is_final) in [(404, true), (410, true), (429, false), (500, false), (503, false)] {
            assert_eq!(Failure::Status { status, retry_after: None }.is_final(), is_final, "{status}");
        }
        assert!(!Failure::TimedOut(Duration::from_secs(1)).is_final());
    }

    #[test]
    fn a_failure_ends_with_the_next_step() {
        let expired = Failure::of_tls(&rustls::Error::InvalidCertificate(rustls::CertificateError::Expired));
        assert!(expired.to_string().contains("check this host's clock"), "{expired}");
        let stranger = Failure::of_tls(&rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer));
        assert!(stranger.to_string().contains("--ca"), "{stranger}");
        let plain = Failure::of_tls(&rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType));
        assert!(plain.to_string().contains("check the port"), "{plain}");
    }
}
