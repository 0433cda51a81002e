//! What a peer could draw out or blow up, and how far it comes.

use crate::harness::{Answer, Server};
use curfew_protocol::host_api::ProblemKind;
use reqwest::Method;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

on_each_database!(
    a_body_that_is_too_long_is_refused_before_it_is_read,
    a_head_that_never_ends_or_is_too_long_is_cut,
    garbage_and_old_tls_come_to_nothing,
    what_is_not_there_is_a_problem,
    every_call_is_in_the_document,
    who_is_refused_early_learns_why,
);

/// A TLS connection to write raw bytes to.
fn raw(server: &Server) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(server.folder.path().join("data/tls/ca.pem")).unwrap();
    roots.add(ca).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let tcp = TcpStream::connect(server.address()).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), tcp)
}

/// What comes back until the connection ends, and when.
fn rest(mut stream: StreamOwned<ClientConnection, TcpStream>) -> (String, Duration) {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..read]);
    }
    (String::from_utf8_lossy(&bytes).into_owned(), begun.elapsed())
}

async fn a_body_that_is_too_long_is_refused_before_it_is_read(server: Server) {
    let mut stream = raw(&server);
    let head = "POST /v1/enroll HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let (answer, took) = rest(stream);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let huge = json!({"name": "x".repeat(200_000)});
    let answer = server.admin(Method::POST, "/v1/admin/hosts", Some(huge)).await;
    assert_eq!(answer.problem().kind, ProblemKind::TooLarge);
    // Nobody without a token makes it read an audit.
    let mut stream = raw(&server);
    let head = "POST /v1/hosts/x/audit HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let (answer, took) = rest(stream);
    assert!(answer.starts_with("HTTP/1.1 401 ") && took < Duration::from_secs(5), "{answer} {took:?}");
}

async fn a_head_that_never_ends_or_is_too_long_is_cut(server: Server) {
    let mut slow = raw(&server);
    slow.write_all(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n").unwrap();
    let slow = tokio::task::spawn_blocking(move || rest(slow));
    let mut long = raw(&server);
    let _ = long.write_all(format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000)).as_bytes());
    let (answer, _) = rest(long);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let (answer, took) = slow.await.unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

async fn garbage_and_old_tls_come_to_nothing(server: Server) {
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 10_000], &[0x16, 0x03, 0x01, 0xff, 0xff]] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() < 100, "{answer:?}");
    }
    let mut garbage = raw(&server);
    garbage.write_all(&[0xff; 5000]).unwrap();
    let (answer, _) = rest(garbage);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(server.admin(Method::GET, "/v1/admin/hosts", None).await.status, 200);
}

async fn what_is_not_there_is_a_problem(server: Server) {
    let get = async |path: &str| Answer::of(server.request(Method::GET, path)).await;
    assert_eq!(get("/").await.problem().kind, ProblemKind::NotFound);
    assert_eq!(get("/v1/hosts/x").await.problem().kind, ProblemKind::NotFound);
    let answer = Answer::of(server.request(Method::DELETE, "/v1/enroll")).await;
    assert_eq!((answer.status, answer.problem().kind), (405, ProblemKind::Other));
    assert_eq!(server.admin(Method::GET, "/v1/admin/hosts/none", None).await.problem().kind, ProblemKind::NotFound);
    assert_eq!(server.admin(Method::GET, "/v1/admin/hosts/%00", None).await.problem().kind, ProblemKind::NotFound);
    assert_eq!(server.admin(Method::GET, "/v1/admin/hosts/%ff", None).await.problem().kind, ProblemKind::NotFound);
}

async fn every_call_is_in_the_document(server: Server) {
    let answer = Answer::of(server.request(Method::GET, "/openapi.json")).await;
    let paths = answer.json()["paths"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for path in ["/v1/enroll", "/v1/hosts/{host}/grants", "/v1/hosts/{host}/audit", "/v1/admin/grants/{id}/revoke"] {
        assert!(paths.iter().any(|it| it == path), "{path} of {paths:?}");
    }
}

async fn who_is_refused_early_learns_why(server: Server) {
    // The body comes after the answer, and is all sent before anybody looks for it.
    for (authorization, length, status) in [
        ("", 1000, 401),
        ("", 900_000, 401),
        (&*format!("Authorization: Bearer {}\r\n", server.admin_token), 900_000, 413),
    ] {
        let mut stream = raw(&server);
        let head =
            format!("POST /v1/admin/hosts HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        for _ in 0..length / 1000 {
            stream.write_all(&[b' '; 1000]).unwrap();
        }
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let (answer, _) = rest(stream);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{length}: {answer}");
        assert!(answer.contains("HTTP/1.1 404 "), "the connection goes on: {answer}");
    }
}
