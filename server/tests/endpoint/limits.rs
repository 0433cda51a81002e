//! What a peer could draw out or blow up, and how far it comes.

use crate::harness::{Answer, Host, Server};
use curfew_protocol::host_api::{ProblemKind, audit_path, grants_path};
use curfew_protocol::jws::SigningKey;
use reqwest::Method;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

on_each_database!(
    a_body_that_is_too_long_is_refused_before_it_is_read,
    a_head_that_never_ends_or_is_too_long_is_cut,
    garbage_and_old_tls_come_to_nothing,
    what_is_not_there_is_a_problem,
    every_call_is_in_the_document,
    who_is_refused_early_learns_why,
    strangers_that_say_nothing_hold_up_nobody,
    a_host_gets_through_a_flood_from_its_own_address,
    bodies_that_drip_hold_up_nobody,
    a_token_is_spent_before_its_body_has_come,
    a_made_up_enrolment_token_waits_for_no_lock,
    administrators_on_the_machine_itself_need_no_token,
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

/// The head of a call with a body that is still to come.
fn head(host: &Host, server: &Server, token: &str, length: usize) -> String {
    format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n",
        audit_path(&host.id),
        server.address()
    )
}

async fn a_host_gets_through_a_flood_from_its_own_address(mut server: Server) {
    let host = server.host("web-1", json!({})).await;
    server.stop();
    server.configure("max_unknown_per_address = 100\n");
    server.start();
    let (address, stop) = (server.address().to_owned(), Arc::new(AtomicBool::new(false)));
    let stopped = stop.clone();
    // More than the address may have, all the time, and each is silent for as long as it may be.
    let flood = std::thread::spawn(move || {
        let mut strangers = VecDeque::new();
        while !stopped.load(Ordering::Relaxed) {
            strangers.extend(TcpStream::connect(&address));
            if strangers.len() > 150 {
                strangers.pop_front();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    tokio::time::sleep(Duration::from_millis(1500)).await;
    for _ in 0..3 {
        // A new connection, as of an agent that has just started; it tries again where it is unlucky.
        let begun = Instant::now();
        while !is_served(&server, &host) {
            assert!(begun.elapsed() < Duration::from_secs(2), "it is kept out");
        }
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    flood.join().unwrap();
}

/// Whether a host gets its set over a new connection.
fn is_served(server: &Server, host: &Host) -> bool {
    let (path, token) = (grants_path(&host.id), host.token(server, b""));
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    let (mut stream, mut answer) = (raw(server), [0; 12]);
    let sent = stream.write_all(head.as_bytes());
    sent.and_then(|()| stream.read_exact(&mut answer)).is_ok() && &answer == b"HTTP/1.1 200"
}

async fn strangers_that_say_nothing_hold_up_nobody(mut server: Server) {
    server.stop();
    server.configure("max_connections = 100\nmax_unknown_per_address = 20\n");
    server.start();
    let host = server.host("web-1", json!({})).await;
    let tag = host.poll(&server, None, None).await.tag().to_owned();
    let parked = host.poll(&server, Some(&tag), Some(20));
    let flood = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let strangers: Vec<_> = (0..300).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
        // From the same address as they, when those that are left have been silent for a while.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let fresh = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
        let begun = Instant::now();
        let request =
            fresh.get(format!("https://{}/v1/admin/hosts", server.address())).bearer_auth(&server.admin_token);
        assert_eq!(Answer::of(request).await.status, 200);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        let id = server.grant("alice", json!({"host": "web-1"})).await;
        drop(strangers);
        id
    };
    // The host's poll was there all the while.
    let (answer, id) = tokio::join!(parked, flood);
    assert_eq!(crate::harness::ids(&host.verify(&answer)), [id]);
}

async fn bodies_that_drip_hold_up_nobody(server: Server) {
    let mut slow = Vec::new();
    for n in 0..40 {
        let host = server.host(&format!("slow-{n}"), json!({})).await;
        let mut stream = raw(&server);
        stream.write_all(head(&host, &server, &host.token(&server, b"x"), 1_000_000).as_bytes()).unwrap();
        stream.write_all(b"{").unwrap();
        slow.push(stream);
    }
    let honest = server.host("honest", json!({})).await;
    let begun = Instant::now();
    let record = json!({"seq": 1, "time": "2026-11-21T20:00:00Z", "event": "e", "message": "m"});
    assert_eq!(honest.ship(&server, "s", 1, &[record]).await, 1);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    // They are cut long before the end of what a body may take.
    let (answer, _) = rest(slow.pop().unwrap());
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("too slowly"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

async fn a_token_is_spent_before_its_body_has_come(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let token = host.token(&server, b"{}");
    let mut first = raw(&server);
    first.write_all(head(&host, &server, &token, 2).as_bytes()).unwrap();
    first.flush().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut second = raw(&server);
    second.write_all((head(&host, &server, &token, 2) + "{}").as_bytes()).unwrap();
    let mut answer = [0; 12];
    second.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
    // One whose body is another than it is signed for is spent, too.
    let host = server.host("web-2", json!({})).await;
    let token = host.token(&server, b"{}");
    for kind in [ProblemKind::Unauthorized, ProblemKind::Replayed] {
        let request = server.request(Method::POST, &audit_path(&host.id)).bearer_auth(&token).body("[]");
        assert_eq!(Answer::of(request).await.problem().kind, kind);
    }
}

async fn a_made_up_enrolment_token_waits_for_no_lock(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let lock = crate::postgres::Locked::take(&server.database).await;
    let begun = Instant::now();
    let answer = server.enrol("curfew_enroll_made_up", "web-2", &SigningKey::generate().unwrap()).await;
    assert_eq!(answer.problem().kind, ProblemKind::EnrolmentToken);
    assert_eq!(Answer::of(server.request(Method::GET, "/v1/admin/hosts").bearer_auth("made-up")).await.status, 401);
    assert_eq!(Answer::of(server.request(Method::GET, &grants_path(&host.id)).bearer_auth("a.b.c")).await.status, 401);
    assert_eq!(Answer::of(server.request(Method::GET, "/readyz")).await.status, 200);
    assert_eq!(host.poll(&server, None, None).await.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    drop(lock);
}

async fn administrators_on_the_machine_itself_need_no_token(server: Server) {
    let local = |arguments: &[&str]| {
        let output = server.command().args(arguments).env_remove("CURFEW_SERVER_TOKEN").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    local(&["host", "add", "web-1"]);
    let said = local(&["audit", "--event", "host.added"]);
    assert!(said.contains(" on the server"), "{said}");
    let mode = std::fs::metadata(server.folder.path().join("data/admin.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Nobody else takes such a name, and another user is not answered.
    let taken = server.cli(&["admin-token", "create", "root on the server"]);
    assert_eq!(taken.status.code(), Some(1));
    if nix::unistd::geteuid().is_root() {
        let socket = server.folder.path().join("data/admin.sock");
        for path in [server.folder.path(), &server.folder.path().join("data"), &socket] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
        }
        let script = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\ns.sendall(b'GET /v1/admin/hosts HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\nprint(s.recv(100))";
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "nobody", "--clear-groups", "python3", "-c", script]).arg(&socket);
        let output = command.output().unwrap();
        assert!(!String::from_utf8_lossy(&output.stdout).contains("HTTP/1.1"), "{output:?}");
    }
}
