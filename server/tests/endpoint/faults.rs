//! What the database and its disk do to a server, and that it goes on when they are well again.

use crate::harness::{Answer, Server};
use crate::postgres::{execute, shared};
use curfew_protocol::host_api::{KeyChange, key_path};
use curfew_protocol::jws::SigningKey;
use reqwest::Method;
use serde_json::json;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// How soon what is watched is told.
const SOON: Duration = Duration::from_secs(15);

async fn readiness(server: &Server) -> u16 {
    Answer::of(server.request(Method::GET, "/readyz")).await.status
}

/// Waits until `/readyz` answers with this status.
async fn until_it_says(server: &Server, status: u16) {
    let begun = Instant::now();
    while readiness(server).await != status {
        assert!(begun.elapsed() < SOON, "readyz never said {status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Tries to grant, and returns the status.
async fn grant(server: &Server) -> u16 {
    let body = json!({"host": "web-1", "user": "alice", "seconds": 3600, "login": {}, "reason": "a test"});
    server.admin(Method::POST, "/v1/admin/grants", Some(body)).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_forgotten_when_there_is_room_again() {
    let mut server = Server::sqlite().await;
    // A host is let in, and asks, only where more than the reserve is free.
    server.configure("disk_reserve_mib = 1\n");
    let disk = server.on_a_small_disk(16);
    let host = server.host("web-1", json!({})).await;
    let id = server.grant("alice", json!({"host": "web-1"})).await;
    until_it_says(&server, 200).await;
    for _ in 0..2 {
        let fill = disk.join("fill");
        let mut file = std::fs::File::create(&fill).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        // To the last page of the log of what is written ahead, which may have had room left.
        let begun = Instant::now();
        while grant(&server).await != 503 {
            assert!(begun.elapsed() < SOON, "the disk does not fill up");
        }
        until_it_says(&server, 503).await;
        for _ in 0..20 {
            assert_eq!(grant(&server).await, 503);
        }
        // An administrator is told what is amiss, where, and what to do meanwhile; a host only that it is.
        let refused = server.cli(&["grant", "revoke", &id]);
        let error = String::from_utf8_lossy(&refused.stderr);
        let data = server.folder.path().join("data").display().to_string();
        assert_eq!(refused.status.code(), Some(1), "{error}");
        for part in ["the server's disk is full", data.as_str(), "curfew revoke ID"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        let order = json!({"user": "bob", "seconds": 60, "login": {}, "reason": "r"});
        let answer = host.send(&server, &format!("/v1/hosts/{}/requests", host.id), &order).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        let is_told = ["disk is full", "disk is nearly full"].iter().any(|it| answer.body.contains(it));
        assert!(is_told && !answer.body.contains(&data), "{answer:?}");
        // What was there is served all the while.
        assert_eq!(host.poll(&server, None, None).await.status, 200);
        drop(file);
        std::fs::remove_file(&fill).unwrap();
        until_it_says(&server, 200).await;
        assert_eq!(grant(&server).await, 201);
    }
    server.revoke(&id).await;
    assert!(!host.grants(&server).await.contains(&id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_on_a_nearly_full_disk_is_for_grants_and_the_audit_waits() {
    let mut server = Server::sqlite().await;
    server.configure("disk_reserve_mib = 16\n");
    let disk = server.on_a_small_disk(48);
    let host = server.host("web-1", json!({})).await;
    let id = server.grant("alice", json!({"host": "web-1"})).await;
    let record =
        |seq: u64| json!({"seq": seq, "time": "2026-10-05T08:00:00Z", "event": "login.permitted", "user": "bob"});
    assert_eq!(host.ship(&server, "s", 1, &[record(1)]).await, 1);
    let fill = disk.join("fill");
    std::fs::write(&fill, vec![0; 36 << 20]).unwrap();
    let batch = json!({"series": "s", "oldest": 1, "records": [record(2)]});
    let ship = async || host.send(&server, &format!("/v1/hosts/{}/audit", host.id), &batch).await;
    let begun = Instant::now();
    let refused = loop {
        let answer = ship().await;
        if answer.status != 200 {
            break answer;
        }
        assert!(begun.elapsed() < SOON, "the reserve is given to the audit");
    };
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.body.contains("keeps what is left for grants"), "{refused:?}");
    assert_eq!(readiness(&server).await, 200);
    // So do all other calls of a host that write.
    let order = json!({"user": "bob", "seconds": 60, "login": {}, "reason": "r"});
    let asked = host.send(&server, &format!("/v1/hosts/{}/requests", host.id), &order).await;
    let new = SigningKey::generate().unwrap();
    let change = KeyChange {
        iss: host.id.clone(),
        aud: server.origin.clone(),
        iat: crate::harness::now().as_second(),
        kid: String::new(),
    };
    let change = server.request(Method::POST, &key_path(&host.id)).body(change.sign(&host.key, &new).unwrap());
    let changed = Answer::of(change).await;
    let enrolled = server.enrol(&server.enrolment_token(json!({})).await, "web-2", &new).await;
    for answer in [asked, changed, enrolled] {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.body.contains("keeps what is left for grants"), "{answer:?}");
    }
    assert_eq!(grant(&server).await, 201);
    server.revoke(&id).await;
    assert!(!host.grants(&server).await.contains(&id));
    std::fs::remove_file(&fill).unwrap();
    let begun = Instant::now();
    while ship().await.status != 200 {
        assert!(begun.elapsed() < SOON, "the audit is refused though there is room");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_refuses_writes_is_told_and_forgotten_when_it_takes_them_again() {
    let database = shared().database().await;
    let server = Server::with(Some(&database), "").await;
    server.host("web-1", json!({})).await;
    until_it_says(&server, 200).await;
    let name = database.rsplit('/').find_map(|part| part.split_once('?')).unwrap().0.to_owned();
    let turn = async |value: &str| {
        let outside = shared().outside();
        execute(&outside, &format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}")).await;
        let cut = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()";
        execute(&outside, &format!("{cut} AND datname = '{name}'")).await;
    };
    turn("on").await;
    until_it_says(&server, 503).await;
    assert_eq!(grant(&server).await, 503);
    turn("off").await;
    until_it_says(&server, 200).await;
    assert_eq!(grant(&server).await, 201);
}
