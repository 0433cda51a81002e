//! The access log: each call of an administrator in the server's log, reads among them. What changes something is in the audit, too.
//!
//! Once it is known that an administrator calls, an answer may also say what is not for everybody: where the disk is full.

use crate::http::error::{FullDisk, Refusal};
use crate::http::listener::ConnectionSlot;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// How much of a call's path and parameters is logged.
const LONGEST: usize = 512;

/// Who calls, once that is known.
#[derive(Clone, Debug, Default)]
pub(super) struct WhoCalls(Arc<OnceLock<Administrator>>);

/// An administrator who calls.
#[derive(Clone, Debug)]
struct Administrator {
    name: String,
    /// The folder of the database, for them to make room in.
    folder: Option<PathBuf>,
}

impl WhoCalls {
    /// It is this administrator, on a server with its database in `folder`.
    pub(super) fn is(&self, name: &str, folder: Option<&Path>) {
        let _ = self.0.set(Administrator { name: name.to_owned(), folder: folder.map(Into::into) });
    }

    /// The answer, with the folder in it where the disk is full and an administrator asked.
    fn told(&self, response: Response) -> Response {
        match self.0.get() {
            Some(admin) if response.extensions().get::<FullDisk>().is_some() => {
                Refusal::full_disk(admin.folder.as_deref()).into_response()
            }
            _ => response,
        }
    }
}

/// Logs a call when it is answered. Calls of nobody who may call are at level debug: strangers fill no log.
pub(super) async fn log(mut request: Request, next: Next) -> Response {
    let who = WhoCalls::default();
    request.extensions_mut().insert(who.clone());
    let from = request.extensions().get::<Arc<ConnectionSlot>>().map(|slot| slot.address());
    let from = from.map_or_else(|| "this machine".into(), |address| address.to_string());
    let method = request.method().clone();
    let call: String = request.uri().to_string().chars().take(LONGEST).collect();
    let begun = Instant::now();
    let response = who.told(next.run(request).await);
    let (status, ms) = (response.status().as_u16(), begun.elapsed().as_millis());
    match who.0.get() {
        Some(Administrator { name: admin, .. }) => {
            tracing::info!(?admin, from, %method, ?call, status, ms, "an administrator's call")
        }
        None => tracing::debug!(from, %method, ?call, status, ms, "a call of nobody who may call"),
    }
    response
}
