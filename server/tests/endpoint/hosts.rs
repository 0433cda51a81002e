//! Hosts: their keys, and that they are gone.

use crate::harness::{Answer, Server, new_jti, now};
use curfew_protocol::host_api::{HostToken, KeyChange, ProblemKind, grants_path, key_path};
use curfew_protocol::jws::SigningKey;
use reqwest::Method;
use serde_json::{Value, json};

on_each_database!(
    a_host_that_was_removed_can_do_nothing_and_its_name_is_free,
    a_key_changes_by_the_word_of_both_and_the_same_change_again_is_no_mistake,
    a_host_changes_its_key_only_so_often_a_day,
    a_change_of_key_that_is_not_the_hosts_is_refused,
    a_host_for_static_files_has_no_key_and_can_not_call,
    hosts_are_found_by_their_labels,
);

fn change(server: &Server, host: &str, seconds: i64) -> KeyChange {
    let iat = now().as_second() + seconds;
    KeyChange { iss: host.parse().unwrap(), aud: server.origin.clone(), iat, kid: String::new() }
}

async fn send(server: &Server, host: &str, text: String) -> Answer {
    Answer::of(server.request(Method::POST, &key_path(&host.parse().unwrap())).body(text)).await
}

async fn a_host_that_was_removed_can_do_nothing_and_its_name_is_free(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let id = server.grant("alice", json!({"host": "web-1"})).await;
    server.done(Method::DELETE, "/v1/admin/hosts/web-1", Value::Null).await;
    // It is told so by a set that it can verify, whenever it comes; once it has that, nothing more is said.
    let last = host.poll(&server, None, None).await;
    assert!(host.verify(&last).grants.is_empty());
    assert_eq!(host.poll(&server, Some(last.tag()), Some(20)).await.problem().kind, ProblemKind::NoSuchHost);
    let batch = json!({"series": "s", "oldest": 1, "records": []});
    let answer = host.send(&server, &format!("/v1/hosts/{}/audit", host.id), &batch).await;
    assert_eq!(answer.problem().kind, ProblemKind::NoSuchHost);
    assert_eq!(server.get(&format!("/v1/admin/grants/{id}")).await["state"], "revoked");
    let again = server.host("web-1", json!({})).await;
    assert_ne!(again.id, host.id);
    assert!(again.grants(&server).await.is_empty());
    let removed = server.get("/v1/admin/hosts?removed=true").await;
    assert_eq!(removed["hosts"][0]["id"], json!(host.id));
}

async fn a_key_changes_by_the_word_of_both_and_the_same_change_again_is_no_mistake(server: Server) {
    let mut host = server.host("web-1", json!({})).await;
    let new = SigningKey::generate().unwrap();
    let text = change(&server, host.id.as_str(), 0).sign(&host.key, &new).unwrap();
    assert_eq!(send(&server, host.id.as_str(), text.clone()).await.status, 204);
    assert_eq!(send(&server, host.id.as_str(), text.clone()).await.status, 204);
    assert_eq!(host.poll(&server, None, None).await.problem().kind, ProblemKind::Unauthorized);
    let old = std::mem::replace(&mut host.key, new);
    assert_eq!(host.poll(&server, None, None).await.status, 200);
    // The change from before does not come back after the next one.
    let third = SigningKey::generate().unwrap();
    let next = change(&server, host.id.as_str(), 0).sign(&host.key, &third).unwrap();
    assert_eq!(send(&server, host.id.as_str(), next).await.status, 204);
    assert_eq!(send(&server, host.id.as_str(), text).await.problem().kind, ProblemKind::Unauthorized);
    drop(old);
}

async fn a_host_changes_its_key_only_so_often_a_day(server: Server) {
    let mut host = server.host("web-1", json!({})).await;
    for _ in 0..10 {
        let new = SigningKey::generate().unwrap();
        let text = change(&server, host.id.as_str(), 0).sign(&host.key, &new).unwrap();
        assert_eq!(send(&server, host.id.as_str(), text).await.status, 204);
        host.key = new;
    }
    let text = change(&server, host.id.as_str(), 0).sign(&host.key, &SigningKey::generate().unwrap()).unwrap();
    let problem = send(&server, host.id.as_str(), text).await.problem();
    assert_eq!(problem.kind, ProblemKind::TooMany);
    assert!(problem.detail.contains("10 times today (UTC)"), "{problem:?}");
    // The key that it has stays good, and the log says that this was the last one.
    assert_eq!(host.poll(&server, None, None).await.status, 200);
    let log = server.get("/v1/admin/audit?event=host.key_changed&source=endpoint").await;
    let records = log["records"].as_array().unwrap();
    assert_eq!(records.len(), 10);
    assert_eq!((&records[8]["record"]["most_a_day"], &records[9]["record"]["most_a_day"]), (&Value::Null, &json!(10)));
    // Another host has its own.
    let other = server.host("web-2", json!({})).await;
    let text = change(&server, other.id.as_str(), 0).sign(&other.key, &SigningKey::generate().unwrap()).unwrap();
    assert_eq!(send(&server, other.id.as_str(), text).await.status, 204);
}

async fn a_change_of_key_that_is_not_the_hosts_is_refused(server: Server) {
    let (host, other) = (server.host("web-1", json!({})).await, server.host("web-2", json!({})).await);
    let [new, thief] = [(); 2].map(|()| SigningKey::generate().unwrap());
    let id = host.id.as_str();
    let elsewhere = KeyChange { aud: "https://elsewhere".into(), ..change(&server, id, 0) };
    for (text, kind) in [
        (change(&server, id, 0).sign(&thief, &new).unwrap(), ProblemKind::Unauthorized),
        (change(&server, other.id.as_str(), 0).sign(&host.key, &new).unwrap(), ProblemKind::Forbidden),
        (elsewhere.sign(&host.key, &new).unwrap(), ProblemKind::BadRequest),
        (change(&server, id, -1000).sign(&host.key, &new).unwrap(), ProblemKind::Clock),
        (change(&server, id, 0).sign(&host.key, &other.key).unwrap(), ProblemKind::Conflict),
        ("a.b.c".into(), ProblemKind::BadRequest),
    ] {
        let answer = send(&server, id, text).await;
        assert_eq!(answer.problem().kind, kind);
    }
    assert_eq!(host.poll(&server, None, None).await.status, 200);
}

async fn a_host_for_static_files_has_no_key_and_can_not_call(server: Server) {
    let host = server.post("/v1/admin/hosts", json!({"name": "files-1", "labels": {"env": "prod"}})).await;
    let id = host["id"].as_str().unwrap();
    let key = SigningKey::generate().unwrap();
    let token = HostToken::new(id.parse().unwrap(), &server.origin, now(), new_jti(), b"").sign(&key).unwrap();
    let request = server.request(Method::GET, &grants_path(&id.parse().unwrap())).bearer_auth(token);
    assert_eq!(Answer::of(request).await.problem().kind, ProblemKind::NoSuchHost);
    let text = change(&server, id, 0).sign(&key, &SigningKey::generate().unwrap()).unwrap();
    assert_eq!(send(&server, id, text).await.problem().kind, ProblemKind::NoSuchHost);
}

async fn hosts_are_found_by_their_labels(server: Server) {
    for (name, labels) in [("a", "prod"), ("b", "prod"), ("c", "test")] {
        server.post("/v1/admin/hosts", json!({"name": name, "labels": {"env": labels}})).await;
    }
    let names = async |query: &str| {
        let list = server.get(&format!("/v1/admin/hosts?{query}")).await;
        let names = list["hosts"].as_array().unwrap().iter().map(|host| host["name"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>(), list["next"].clone())
    };
    assert_eq!(names("labels=env%3Dprod").await.0.len(), 2);
    assert_eq!(names("labels=env%3Dprod,role%3Dweb").await.0, [""; 0]);
    let (first, next) = names("limit=2").await;
    let (rest, end) = names(&format!("limit=2&after={}", next.as_str().unwrap())).await;
    assert_eq!([first, rest].concat().len(), 3);
    assert_eq!(end, Value::Null);
}
