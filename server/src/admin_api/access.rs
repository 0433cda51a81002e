//! The access log: each call of an administrator in the server's log, reads among them. What changes something is in the audit, too.

use crate::listener::Place;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// How much of a call's path and parameters is logged.
const LONGEST: usize = 512;

/// Who calls, once that is known.
#[derive(Clone, Debug, Default)]
pub(super) struct WhoCalls(Arc<OnceLock<String>>);

impl WhoCalls {
    /// It is this administrator.
    pub(super) fn is(&self, name: &str) {
        let _ = self.0.set(name.to_owned());
    }
}

/// Logs a call when it is answered. Calls of nobody who may call are at level debug: strangers fill no log.
pub(super) async fn log(mut request: Request, next: Next) -> Response {
    let who = WhoCalls::default();
    request.extensions_mut().insert(who.clone());
    let from = request.extensions().get::<Arc<Place>>().map(|place| place.address());
    let from = from.map_or_else(|| "this machine".into(), |address| address.to_string());
    let method = request.method().clone();
    let call: String = request.uri().to_string().chars().take(LONGEST).collect();
    let begun = Instant::now();
    let response = next.run(request).await;
    let (status, ms) = (response.status().as_u16(), begun.elapsed().as_millis());
    match who.0.get() {
        Some(admin) => tracing::info!(?admin, from, %method, ?call, status, ms, "an administrator's call"),
        None => tracing::debug!(from, %method, ?call, status, ms, "a call of nobody who may call"),
    }
    response
}
