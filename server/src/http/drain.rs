//! A body that a call did not read to its end is read on for a little, and nothing of it is kept.
//!
//! Most clients look for an answer only when all that they have to say is sent. If the connection were closed under them, they would see that
//! it broke, and not why they were refused.

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use hyper::body::{Frame, SizeHint};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How much is read on, in bytes: more than any call takes.
const MOST: u64 = 2 * 1024 * 1024;

/// For how long it is.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Has what is left of a request's body read when its call is answered.
pub(crate) async fn read_on(request: Request) -> Request {
    request.map(|body| if body.is_end_stream() { body } else { Body::new(ReadOn(body)) })
}

/// The body, until it is dropped.
struct ReadOn(Body);

impl HttpBody for ReadOn {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Drop for ReadOn {
    fn drop(&mut self) {
        let body = std::mem::take(&mut self.0);
        if body.is_end_stream() || body.size_hint().lower() > MOST {
            return;
        }
        // Without a runtime the server is at its end, and so is the connection.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async { tokio::time::timeout(TIMEOUT, pass(body)).await });
        }
    }
}

async fn pass(mut body: Body) {
    let mut left = MOST;
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        let Some(rest) = left.checked_sub(length) else { return };
        left = rest;
    }
}
