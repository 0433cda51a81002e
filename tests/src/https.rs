//! A small HTTPS client, for thousands of connections that are opened once and then only wait: requests are sent and answers received apart.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The longest answer that is read, in bytes.
const LONGEST: usize = 32 * 1024 * 1024;

/// Whom to speak to, and whom to believe.
#[derive(Clone)]
pub struct Endpoint {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    /// What came behind the last answer.
    ahead: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The header lines.
    pub head: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Endpoint {
    /// The endpoint at `address`, whose certificate this authority signed for that address.
    ///
    /// # Panics
    /// When `authority` is no certificate in PEM.
    #[must_use]
    pub fn new(address: SocketAddr, authority: &[u8]) -> Self {
        let _set_before_or_now = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority) {
            roots.add(certificate.expect("a certificate in PEM")).expect("a certificate");
        }
        let tls = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { address, tls: Arc::new(tls) }
    }

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// What TCP or TLS says.
    pub async fn connect(&self) -> io::Result<Connection> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await?;
        Ok(Connection { stream, ahead: Vec::new() })
    }
}

impl Connection {
    /// Sends one request. Each of `headers` is a line without its end.
    ///
    /// # Errors
    ///
    /// What the connection says.
    pub async fn send(&mut self, method: &str, path: &str, headers: &[String], body: &[u8]) -> io::Result<()> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n", body.len());
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        self.stream.write_all(&[head.as_bytes(), body].concat()).await?;
        self.stream.flush().await
    }

    /// Receives one answer, however long that takes.
    ///
    /// # Errors
    ///
    /// What the connection says, or that the answer is none.
    pub async fn receive(&mut self) -> io::Result<Response> {
        let mut bytes = std::mem::take(&mut self.ahead);
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.more(&mut bytes).await?;
        };
        let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
        let mut lines = text.lines().filter(|line| !line.is_empty()).map(str::to_owned);
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no HTTP: {text}")))?;
        let mut response = Response { status, head: lines.collect(), body: Vec::new() };
        // The endpoint says the length of all that it sends, but for what has no body at all.
        let length = response.header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
        while bytes.len() < head + length {
            self.more(&mut bytes).await?;
        }
        self.ahead = bytes.split_off(head + length);
        response.body = bytes.split_off(head);
        Ok(response)
    }

    /// Sends a request and receives its answer.
    ///
    /// # Errors
    ///
    /// As [`Connection::send`] and [`Connection::receive`].
    pub async fn ask(&mut self, method: &str, path: &str, headers: &[String], body: &[u8]) -> io::Result<Response> {
        self.send(method, path, headers, body).await?;
        self.receive().await
    }

    async fn more(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        if bytes.len() > LONGEST {
            return Err(io::Error::other("the answer is too long"));
        }
        match self.stream.read_buf(bytes).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

impl Response {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// What it is instead.
    pub fn json(&self) -> io::Result<serde_json::Value> {
        let refused = || io::Error::other(format!("{}: {}", self.status, String::from_utf8_lossy(&self.body)));
        if self.status >= 400 {
            return Err(refused());
        }
        serde_json::from_slice(&self.body).map_err(|_| refused())
    }
}
