//! Asks a server over HTTPS, as an administrator.

use super::{CliError, Global, local};
use crate::config::{self, Config};
use crate::owner;
use curfew_protocol::host_api::Problem;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A server, and the administrator's token for it.
pub(super) struct Client {
    http: reqwest::Client,
    url: String,
    /// None: on this machine, by the local socket.
    token: Option<String>,
    /// The local socket, where that is the way, and the configuration that names it.
    socket: Option<(PathBuf, PathBuf)>,
}

impl Client {
    /// Reads where the server is and who asks.
    pub(super) fn new(global: &Global) -> Result<Self, CliError> {
        // A configuration that is not there is no mistake where the call does not need it.
        let config = local::config(global);
        let token = token(global)?;
        let named = global.url.is_some() || variable("CURFEW_SERVER_URL").is_some();
        if let (false, None, Ok(config)) = (named, &token, &config)
            && !config.socket.as_os_str().is_empty()
        {
            if config.socket.exists() {
                return Self::local(&config.socket, &local::config_path(global));
            }
            // Root would see it: nobody serves, and a token would not help.
            if owner::is_root() {
                let problem = format!("there is no {}", config.socket.display());
                return Err(CliError::Failed(not_running(&local::config_path(global), &problem)));
            }
        }
        let url = match global.url.clone().or_else(|| variable("CURFEW_SERVER_URL")) {
            Some(url) => url,
            None => own_url(&config)?,
        };
        let url = secure(&url)?;
        let ca = global.ca.clone().or_else(|| variable("CURFEW_SERVER_CA").map(PathBuf::from));
        let ca = ca.or_else(|| own_ca(config.as_ref().ok(), &url));
        // One provider for the process; it is set already where this is the second client.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut http = reqwest::Client::builder().https_only(true).no_proxy().redirect(Policy::none()).timeout(TIMEOUT);
        if let Some(path) = &ca {
            http = http.tls_certs_only(certificates(path)?);
        }
        let http = http.build().map_err(|error| no_https(&error, ca.is_none()))?;
        match token {
            Some(token) => Ok(Self { http, url, token: Some(token), socket: None }),
            None => Err(CliError::Usage(
                "name the file with your administrator's token: --token-file FILE, or CURFEW_SERVER_TOKEN_FILE; \
                 to make one, on the server: curfew-server admin-token create NAME"
                    .into(),
            )),
        }
    }

    /// The server on this machine, by its local socket: it knows who asks.
    fn local(socket: &Path, config: &Path) -> Result<Self, CliError> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::builder().unix_socket(socket).no_proxy().redirect(Policy::none()).timeout(TIMEOUT);
        // Nothing is encrypted there, so that it works on a machine without any authority's certificate.
        let http = http.tls_certs_only([]).build().map_err(|error| no_https(&error, false))?;
        Ok(Self { http, url: "http://localhost".into(), token: None, socket: Some((socket.into(), config.into())) })
    }

    /// Asks, without anything to send.
    pub(super) async fn ask<R: DeserializeOwned>(&self, method: Method, path: &str) -> Result<R, CliError> {
        self.send(method, path, None).await
    }

    /// Asks, and sends a body.
    pub(super) async fn post<B: Serialize, R: DeserializeOwned>(&self, path: &str, body: &B) -> Result<R, CliError> {
        self.send_json(Method::POST, path, body).await
    }

    /// Asks by this method, and sends a body.
    pub(super) async fn send_json<B: Serialize, R: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<R, CliError> {
        let body = serde_json::to_vec(body).map_err(|error| CliError::Failed(error.to_string()))?;
        self.send(method, path, Some(body)).await
    }

    async fn send<R: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<R, CliError> {
        let failed = |error: reqwest::Error| {
            CliError::Away(match &self.socket {
                // One that a server left which is not there any more.
                Some((socket, config)) if error.is_connect() => {
                    not_running(config, &format!("{}: {}", socket.display(), chain(&error)))
                }
                None if error.is_connect() => {
                    format!("{}: {}; check --url and --ca, and that the server runs", self.url, chain(&error))
                }
                _ => format!("{}: {}", self.url, chain(&error)),
            })
        };
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(failed)?;
        if status.is_success() {
            return serde_json::from_slice(&bytes)
                .map_err(|error| CliError::Failed(format!("{}{path}: the answer can't be read: {error}", self.url)));
        }
        let problem = match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => super::output::printable(&problem.detail),
            Err(_) => format!("{}{path}: {status}, and no word why; is it a curfew-server?", self.url),
        };
        let soon = [StatusCode::TOO_MANY_REQUESTS, StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE];
        Err(if soon.contains(&status) { CliError::Away(problem) } else { CliError::Failed(problem) })
    }
}

/// Why nobody can be asked; most likely it is the certificates of this machine's authorities, where those are the ones to trust.
fn no_https(error: &reqwest::Error, by_system: bool) -> CliError {
    // reqwest's own text says only that this is about the building of a client.
    let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), chain);
    CliError::Failed(match by_system {
        true => format!(
            "no certificates of authorities could be read ({cause}); give --ca FILE, e.g. DATA/tls/ca.pem, or install ca-certificates"
        ),
        false => format!("no HTTPS: {cause}"),
    })
}

/// That there is nobody to ask at the local socket, and how to start them.
fn not_running(file: &Path, problem: &str) -> String {
    let start = match file == Path::new(config::PATH) {
        true => "systemctl start curfew-server".into(),
        false => format!("curfew-server serve --config {}", file.display()),
    };
    format!("curfew-server does not run on this machine ({problem}); to start it: {start}")
}

/// An error with its causes: reqwest's own text leaves them out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn own_url(config: &Result<Config, CliError>) -> Result<String, CliError> {
    let next = "name the server: --url https://NAME:8443, or CURFEW_SERVER_URL";
    match config {
        Ok(config) if config.issuer().is_empty() => Err(CliError::Usage(format!("origins is empty; {next}"))),
        Ok(config) => Ok(config.issuer().into()),
        Err(error) => Err(CliError::Usage(format!("{next} ({error})"))),
    }
}

/// The configuration's CA, for the server that the configuration is of.
fn own_ca(config: Option<&Config>, url: &str) -> Option<PathBuf> {
    let config = config?;
    let is_here = ["https://localhost", "https://127.0.0.1", "https://[::1]"]
        .iter()
        .any(|here| url.strip_prefix(here).is_some_and(|port| port.is_empty() || port.starts_with(':')));
    let own = is_here || config.origins.iter().any(|origin| origin == url);
    (own && !config.ca.as_os_str().is_empty() && config.ca.exists()).then(|| config.ca.clone())
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, CliError> {
    let failed = |problem: String| CliError::Failed(format!("{}: {problem}", path.display()));
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(failed("there is no certificate in PEM in it".into())),
    }
}

fn token(global: &Global) -> Result<Option<String>, CliError> {
    let file = global.token_file.clone().or_else(|| variable("CURFEW_SERVER_TOKEN_FILE").map(PathBuf::from));
    let (token, place) = match (file, variable("CURFEW_SERVER_TOKEN")) {
        (Some(file), _) => {
            let place = file.display().to_string();
            let token = std::fs::read_to_string(&file);
            let next = "it has to have an administrator's token; to make one, on the server: curfew-server admin-token create NAME";
            let token = token.map_err(|error| CliError::Failed(format!("{place}: {error}; {next}")))?;
            if std::fs::metadata(&file).is_ok_and(|about| about.permissions().mode() & 0o007 != 0) {
                eprintln!(
                    "curfew-server: warning: {place} is open to everybody on this machine, and with it the endpoint; chmod 600 {place}"
                );
            }
            (token, place)
        }
        (None, Some(token)) => (token, "CURFEW_SERVER_TOKEN".into()),
        (None, None) => return Ok(None),
    };
    match token.trim() {
        "" => Err(CliError::Failed(format!("{place} is empty; it has to have an administrator's token"))),
        token => Ok(Some(token.to_owned())),
    }
}

/// A server's URL as calls begin: a token goes nowhere but over HTTPS.
fn secure(url: &str) -> Result<String, CliError> {
    let problem = match url.split_once("://") {
        Some(("https", _)) => return Ok(url.trim_end_matches('/').to_owned()),
        Some((_, name)) => format!("https:// is needed, like https://{name}"),
        None => format!("https:// is missing, like https://{url}"),
    };
    Err(CliError::Usage(format!("{url} can't be asked: {problem}")))
}

/// A name as part of a path (RFC 3986).
pub(super) fn segment(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Parameters behind a path: those that are there.
pub(super) fn query(parameters: &[(&str, Option<String>)]) -> String {
    let there = parameters.iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value)));
    let terms: Vec<_> = there.map(|(name, value)| format!("{name}={}", segment(value))).collect();
    if terms.is_empty() { String::new() } else { format!("?{}", terms.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_not_leave_their_place_in_a_path() {
        assert_eq!(segment("../x?y#z"), "..%2Fx%3Fy%23z");
        assert_eq!(query(&[("a", Some("b c".into())), ("d", None), ("e", Some("&".into()))]), "?a=b%20c&e=%26");
        assert_eq!(query(&[("a", None)]), "");
    }
}
