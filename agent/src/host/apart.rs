//! Work on a thread of its own: for what has to be done even where all threads of the event loop's pool wait for a file server or a user
//! database that does not answer.

use std::io;
use std::thread;
use tokio::sync::oneshot;

/// Does `work` on a thread of its own, from now on, and waits for it.
///
/// # Errors
///
/// That no thread can be started, or it panicked.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    start(work)?.await.map_err(|_| io::Error::other("the work came to no end"))
}

/// Starts `work` on a thread of its own; its result comes by the channel, should anybody wait for it.
///
/// # Errors
///
/// That no thread can be started.
pub fn start<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<oneshot::Receiver<T>> {
    let (done, result) = oneshot::channel();
    // Whoever waits may have gone.
    thread::Builder::new().name("apart".into()).spawn(move || drop(done.send(work())))?;
    Ok(result)
}
