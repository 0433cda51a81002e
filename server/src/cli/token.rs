//! `curfew-server token`.

use super::client::{Client, segment};
use super::host::joined;
use super::{CliError, Global, output};
use crate::duration;
use crate::host_name::HostName;
use crate::http::admin_api::tokens::{EnrolmentToken, EnrolmentTokenList, NewEnrolmentToken};
use clap::Subcommand;
use curfew_protocol::host_api::TOKEN_LIFETIME_S;
use jiff::Timestamp;
use reqwest::Method;
use std::time::Duration;

/// Enrolment tokens: each lets one host in, once, within 15 minutes.
#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Create a token and print it, this once. On the host: curfew enroll URL --token-file FILE
    Create {
        /// The name that the host will have; without it, the host says.
        #[arg(long)]
        name: Option<HostName>,
        /// A label that the host will have: env=prod. Can be given again.
        #[arg(long = "label", alias = "labels", value_name = "LABEL")]
        labels: Vec<String>,
        /// For how long it is good: at most 15m.
        #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
        length: Option<Duration>,
    },
    /// List tokens.
    List,
    /// Revoke a token. A host that it enrolled stays.
    Revoke {
        /// The token's id.
        id: String,
    },
}

impl Token {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = Client::new(global)?;
        match self {
            Self::Create { name, labels, length } => {
                let labels = joined(&labels)?;
                let most = TOKEN_LIFETIME_S.unsigned_abs();
                let seconds = length.map(|length| duration::within("--for", length, most)).transpose();
                let seconds = seconds.map_err(CliError::Usage)?.and_then(|seconds| i64::try_from(seconds).ok());
                let new = NewEnrolmentToken { name, labels, seconds };
                let token: EnrolmentToken = client.post("/v1/admin/tokens", &new).await?;
                output::print(global, &token, |token| format!("{}\n", token.token.as_deref().unwrap_or_default()))?;
                if !global.json {
                    eprintln!(
                        "curfew-server: token {} is good for one host until {}",
                        token.id,
                        output::time(token.expires_at)
                    );
                }
                Ok(())
            }
            Self::List => {
                let list: EnrolmentTokenList = client.ask(Method::GET, "/v1/admin/tokens").await?;
                output::print(global, &list.tokens, |tokens| table(tokens))
            }
            Self::Revoke { id } => {
                let path = format!("/v1/admin/tokens/{}", segment(&id));
                let token: EnrolmentToken = client.ask(Method::DELETE, &path).await?;
                output::print(global, &token, |token| format!("token {} is revoked\n", token.id))
            }
        }
    }
}

fn table(tokens: &[EnrolmentToken]) -> String {
    let now = Timestamp::now();
    let rows = tokens.iter().map(|token| {
        let state = match (&token.host, token.revoked_at, token.expires_at <= now) {
            (Some(host), _, _) => format!("used by {host}"),
            (None, Some(_), _) => "revoked".into(),
            (None, None, true) => "too old".into(),
            (None, None, false) => format!("good until {}", output::time(token.expires_at)),
        };
        let name = token.name.clone().unwrap_or_else(|| "-".into());
        [token.id.clone(), name, output::labels(&token.labels), token.created_by.clone(), state]
    });
    output::table(["ID", "NAME", "LABELS", "BY", "STATE"], rows)
}
