//! A socket whose messages are bounded: zlink alone would hold 100 MB a connection.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use tokio::net::UnixStream;
use zlink::connection::PassedCredentials;
use zlink::connection::socket::{self, ReadResult};

/// The socket.
#[derive(Debug)]
pub struct Bounded {
    /// The connection.
    pub stream: Arc<UnixStream>,
    /// The longest message, in bytes.
    pub longest: usize,
}

/// The half that reads.
#[derive(Debug)]
pub struct BoundedRead {
    stream: Arc<UnixStream>,
    /// How much of a message came since the last one ended, in bytes.
    unfinished: usize,
    longest: usize,
}

/// The half that writes.
#[derive(Debug)]
pub struct BoundedWrite(Arc<UnixStream>);

/// Writes all of it, however often that takes. zlink alone would write a long answer anew for each 256 bytes of it.
///
/// # Errors
///
/// What write(2) says.
pub async fn write_all(stream: &UnixStream, mut rest: &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn read(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        match stream.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

impl socket::Socket for Bounded {
    type ReadHalf = BoundedRead;
    type WriteHalf = BoundedWrite;

    fn split(self) -> (BoundedRead, BoundedWrite) {
        let write = BoundedWrite(Arc::clone(&self.stream));
        (BoundedRead { stream: self.stream, unfinished: 0, longest: self.longest }, write)
    }
}

impl socket::ReadHalf for BoundedRead {
    async fn read(&mut self, buffer: &mut [u8]) -> zlink::Result<ReadResult> {
        let length = read(&self.stream, buffer).await?;
        let received = buffer.get(..length).unwrap_or_default();
        self.unfinished = match received.iter().rposition(|&byte| byte == 0) {
            Some(end) => length - end - 1,
            None => self.unfinished + length,
        };
        if self.unfinished > self.longest { Err(zlink::Error::BufferOverflow) } else { Ok(ReadResult::new(length)) }
    }
}

impl socket::WriteHalf for BoundedWrite {
    async fn write(
        &mut self,
        buffer: &[u8],
        _descriptors: &[impl AsFd],
        _credentials: Option<&PassedCredentials>,
    ) -> zlink::Result<()> {
        write_all(&self.0, buffer).await.map_err(Into::into)
    }
}

impl AsFd for BoundedRead {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl socket::UnixSocket for BoundedRead {}
