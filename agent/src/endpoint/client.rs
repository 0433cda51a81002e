//! One exchange with the endpoint, bounded in bytes and in time: no proxy, no redirect, no other protocol than HTTPS.
//!
//! Whoever answers is taken for hostile until TLS says otherwise, and for broken after that: an answer has a length that it may have, a time within
//! which it begins and one within which it ends, and a content type.

use super::backoff::{http_date, retry_after};
use super::failure::Failure;
use super::identity::{Identity, Place};
use super::tls;
use crate::clock;
use curfew_protocol::grant_set::{LONGEST_SET, MEDIA_TYPE};
use curfew_protocol::host_api::{HostToken, PROBLEM_TYPE, Problem, ProblemKind, grants_path};
use curfew_protocol::jws::SigningKey;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// The longest answer that is no set, in bytes.
pub const LONGEST_ANSWER: usize = 64 * 1024;

/// How long a connection may take, with its TLS.
const LONGEST_CONNECT: Duration = Duration::from_secs(10);

/// How long an answer may take to begin, where nothing is waited for.
pub const LONGEST_THOUGHT: Duration = Duration::from_secs(15);

/// How long an answer may take from its first byte to its last.
const LONGEST_BODY: Duration = Duration::from_secs(60);

/// After how long a silence the kernel asks whether the other side is still there, how often, and how many times.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(5), 3);

/// How far the endpoint's clock may be from this host's for tokens to go by it: what answers in its stead must not collect tokens for next year.
const FARTHEST_AHEAD: SignedDuration = SignedDuration::from_mins(10);

const IF_NONE_MATCH: HeaderName = header::IF_NONE_MATCH;
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What a web server may say that a set is, where it does not know: a set proves itself.
const STATIC_TYPES: [&str; 2] = [MEDIA_TYPE, "application/octet-stream"];

/// What is sent.
#[derive(Clone, Debug)]
pub struct Ask {
    /// `GET` or `POST`.
    pub method: Method,
    /// Behind the endpoint's address.
    pub path: String,
    /// Beside the token.
    pub headers: HeaderMap,
    /// Empty for none.
    pub body: Vec<u8>,
    /// The longest answer, in bytes.
    pub longest: usize,
    /// How long the answer may take to begin.
    pub patience: Duration,
}

impl Ask {
    /// Something to send, of the media type `content`.
    pub fn post(path: impl Into<String>, content: &'static str, body: Vec<u8>) -> Self {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content))]);
        let (path, patience) = (path.into(), LONGEST_THOUGHT);
        Self { method: Method::POST, path, headers, body, longest: LONGEST_ANSWER, patience }
    }
}

/// What came back, and is no error.
#[derive(Debug)]
pub struct Answer {
    /// 200 to 299, or 304.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Answer {
    /// The media type, without its parameters.
    fn content_type(&self) -> Option<&str> {
        self.text(&header::CONTENT_TYPE).and_then(|value| value.split(';').next()).map(str::trim)
    }

    fn text(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// That it is something else.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Failure> {
        let other = |found: String| Failure::OtherContent { found, wanted: "JSON of Curfew's endpoint" };
        serde_json::from_slice(&self.body).map_err(|error| other(error.to_string()))
    }
}

/// An HTTPS client for one endpoint. It holds connections: one endpoint, one client.
pub struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    /// A client for the endpoint there.
    ///
    /// # Errors
    ///
    /// [`Failure::Authorities`].
    pub fn new(place: &Place) -> Result<Self, Failure> {
        let (after, every, times) = KEEPALIVE;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(place.ca.as_deref())?)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .connect_timeout(LONGEST_CONNECT)
            // No timer of ours looks after idle connections: the server ends them, and the kernel tells.
            .pool_idle_timeout(None)
            .pool_max_idle_per_host(2)
            .tcp_keepalive(after)
            .tcp_keepalive_interval(every)
            .tcp_keepalive_retries(times)
            .user_agent(concat!("curfewd/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::Authorities(error.to_string()))?;
        Ok(Self { http, url: place.url.clone() })
    }

    /// One exchange, as whoever `token` says.
    ///
    /// # Errors
    ///
    /// [`Failure`]: also every answer that is neither a success nor a 304.
    pub async fn exchange(&self, ask: &Ask, token: Option<&str>) -> Result<Answer, Failure> {
        let mut request =
            self.http.request(ask.method.clone(), format!("{}{}", self.url, ask.path)).headers(ask.headers.clone());
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if !ask.body.is_empty() {
            request = request.body(ask.body.clone());
        }
        let failed = |error: reqwest::Error| Failure::of_request(&error, ask.patience);
        let begun = tokio::time::timeout(ask.patience, request.send()).await;
        let mut response = begun.map_err(|_| Failure::TimedOut(ask.patience))?.map_err(failed)?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let good = status.is_success() || status == StatusCode::NOT_MODIFIED;
        let longest = if good { ask.longest } else { LONGEST_ANSWER };
        if response.content_length().is_some_and(|length| usize::try_from(length).map_or(true, |it| it > longest)) {
            return Err(Failure::TooLong(longest));
        }
        let body = tokio::time::timeout(LONGEST_BODY, read(&mut response, longest)).await;
        let body = body.map_err(|_| Failure::TimedOut(LONGEST_BODY))?;
        let answer = |body| Answer { status, headers, body };
        if good { Ok(answer(body?)) } else { Err(refusal(answer(body.unwrap_or_default()))) }
    }
}

/// Reads a body, up to `longest` bytes.
async fn read(response: &mut reqwest::Response, longest: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Failure::of_request(&error, LONGEST_BODY))? {
        if body.len() + chunk.len() > longest {
            return Err(Failure::TooLong(longest));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What an answer that is no success says.
fn refusal(answer: Answer) -> Failure {
    let status = answer.status.as_u16();
    if answer.status.is_redirection() {
        let to = answer.text(&header::LOCATION).unwrap_or_default().chars().take(200).collect();
        return Failure::Redirected { status, to };
    }
    let date = answer.text(&header::DATE).and_then(http_date);
    let asked = answer.text(&header::RETRY_AFTER);
    let retry_after = asked.and_then(|asked| retry_after(asked, date.unwrap_or_else(clock::now)));
    let problem = Some(PROBLEM_TYPE).filter(|wanted| answer.content_type() == Some(wanted));
    match problem.and_then(|_| serde_json::from_slice::<Problem>(&answer.body).ok()) {
        Some(mut problem) => {
            problem.detail = crate::human::printable(&problem.detail).chars().take(500).collect();
            problem.title = crate::human::printable(&problem.title).chars().take(100).collect();
            Failure::Problem { problem, retry_after, date }
        }
        None => Failure::Status { status, retry_after },
    }
}

/// What the endpoint called the last answer, so that it need not say it again. Remembered in memory alone, and only once a set is in force.
#[derive(Clone, Debug, Default)]
pub struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

impl Validators {
    /// Whether there is something to compare with.
    pub fn are_known(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }

    fn add_to(&self, headers: &mut HeaderMap) {
        if let Some(etag) = &self.etag {
            headers.insert(IF_NONE_MATCH, etag.clone());
        } else if let Some(date) = &self.last_modified {
            headers.insert(header::IF_MODIFIED_SINCE, date.clone());
        }
    }
}

/// A set, of which nothing is believed yet.
#[derive(Debug)]
pub struct Fetched {
    /// It; none where it is still the one that was fetched before.
    pub text: Option<String>,
    /// What to remember of it.
    pub validators: Validators,
    /// Whether the endpoint waits for a change when it is asked to.
    pub waits: bool,
}

/// This host's line to its endpoint.
pub struct Link {
    client: Client,
    /// Who this host is there.
    pub identity: Rc<Identity>,
    key: Option<SigningKey>,
    /// How far the endpoint's clock is ahead of this host's: for tokens, and for nothing else.
    ahead: Cell<SignedDuration>,
}

impl Link {
    /// The line of the host that `identity` says, with its key from `folder`.
    ///
    /// # Errors
    ///
    /// [`Failure`] of the host's own state.
    pub fn open(folder: &Path, identity: Rc<Identity>) -> Result<Self, Failure> {
        let key = if identity.is_static() { None } else { Some(identity.signing_key(folder)?) };
        Ok(Self { client: Client::new(&identity.place())?, identity, key, ahead: Cell::default() })
    }

    /// Whether it is still that host's.
    pub fn serves(&self, identity: &Identity) -> bool {
        self.identity.is_same_line(identity)
    }

    /// Fetches the host's set; `wait` for a change of what `known` names, where the endpoint does that.
    ///
    /// # Errors
    ///
    /// [`Failure`]; what came is no set then.
    pub async fn fetch(&self, known: &Validators, wait: Option<Duration>) -> Result<Fetched, Failure> {
        let is_static = self.identity.is_static();
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(MEDIA_TYPE));
        known.add_to(&mut headers);
        let wait = wait.filter(|_| known.are_known() && !is_static);
        if let Some(wait) = wait
            && let Ok(value) = HeaderValue::from_str(&format!("wait={}", wait.as_secs()))
        {
            headers.insert(PREFER, value);
        }
        let host = &self.identity.host;
        let path = if is_static { format!("/{host}.jws") } else { grants_path(host) };
        let patience = wait.map_or(LONGEST_THOUGHT, patience);
        let ask = Ask { method: Method::GET, path, headers, body: Vec::new(), longest: LONGEST_SET, patience };
        let answer = self.ask(&ask).await?;
        let waits = answer.text(&PREFERENCE_APPLIED).is_some_and(|applied| applied.contains("wait"));
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(Fetched { text: None, validators: known.clone(), waits });
        }
        let right = match answer.content_type() {
            Some(found) => found.eq_ignore_ascii_case(MEDIA_TYPE) || (is_static && STATIC_TYPES.contains(&found)),
            None => is_static,
        };
        if answer.status != StatusCode::OK || !right {
            let found = answer.content_type().unwrap_or("something without a type");
            let found = format!("{} {}", answer.status.as_u16(), crate::human::printable(found));
            return Err(Failure::OtherContent { found, wanted: MEDIA_TYPE });
        }
        let (etag, last_modified) = (answer.headers.get(header::ETAG), answer.headers.get(header::LAST_MODIFIED));
        let validators = Validators { etag: etag.cloned(), last_modified: last_modified.cloned() };
        let text = String::from_utf8(answer.body);
        let text = text.map_err(|_| Failure::OtherContent { found: "no text".into(), wanted: MEDIA_TYPE })?;
        Ok(Fetched { text: Some(text), validators, waits })
    }

    /// One exchange in this host's name. Where the clocks differ, it is tried once more by the endpoint's.
    ///
    /// # Errors
    ///
    /// As [`Client::exchange`].
    pub async fn ask(&self, ask: &Ask) -> Result<Answer, Failure> {
        match self.ask_once(ask).await {
            Err(Failure::Problem { problem, date: Some(date), .. })
                if problem.kind == ProblemKind::Clock && date.duration_since(clock::now()).abs() <= FARTHEST_AHEAD =>
            {
                self.ahead.set(date.duration_since(clock::now()));
                self.ask_once(ask).await
            }
            answer => answer,
        }
    }

    async fn ask_once(&self, ask: &Ask) -> Result<Answer, Failure> {
        let token = self.key.as_ref().map(|key| self.token(key, &ask.body)).transpose()?;
        self.client.exchange(ask, token.as_deref()).await
    }

    fn token(&self, key: &SigningKey, body: &[u8]) -> Result<String, Failure> {
        let now = clock::now().checked_add(self.ahead.get()).unwrap_or(Timestamp::MAX);
        let jti = ulid::Ulid::generate().to_string();
        let token = HostToken::new(self.identity.host.clone(), &self.identity.origin, now, jti, body);
        token.sign(key).map_err(|error| Failure::Broken(error.to_string()))
    }
}

/// How long a poll that waits may take before its connection is taken for dead.
pub fn patience(wait: Duration) -> Duration {
    wait + wait.clamp(Duration::from_secs(5), LONGEST_THOUGHT)
}

#[cfg(test)]
mod test_server;

#[cfg(test)]
mod tests;
