//! A one-use token and a key become a host, once.

use crate::harness::{Host, Server};
use curfew_protocol::host_api::{Enrolment, ProblemKind};
use curfew_protocol::jws::SigningKey;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

on_each_database!(
    a_token_enrols_one_key_and_a_lost_answer_burns_nothing,
    a_token_that_is_too_old_revoked_or_unknown_enrols_nobody,
    a_used_token_answers_its_key_even_when_it_is_too_old,
    a_name_belongs_to_one_host_and_a_refusal_leaves_the_token_good,
    no_host_is_called_by_the_id_of_another_one,
    the_token_says_what_the_host_is_called_and_labelled,
    what_is_no_enrolment_is_refused,
);

async fn a_token_enrols_one_key_and_a_lost_answer_burns_nothing(server: Server) {
    let token = server.enrolment_token(json!({})).await;
    let [key, thief] = [(); 2].map(|()| SigningKey::generate().unwrap());
    let first = server.enrol(&token, "web-1", &key).await;
    assert_eq!(first.status, 200, "{first:?}");
    let again = server.enrol(&token, "web-1", &key).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    let stolen = server.enrol(&token, "web-2", &thief).await;
    assert_eq!(stolen.problem().kind, ProblemKind::EnrolmentToken);
    assert_eq!(server.get("/v1/admin/hosts").await["hosts"].as_array().unwrap().len(), 1);
    // Another token for the same key is the same host.
    let token = server.enrolment_token(json!({})).await;
    let other = server.enrol(&token, "web-1", &key).await;
    assert_eq!(other.json()["host"], first.json()["host"]);
}

async fn a_token_that_is_too_old_revoked_or_unknown_enrols_nobody(server: Server) {
    let key = SigningKey::generate().unwrap();
    let old = server.enrolment_token(json!({"seconds": 1})).await;
    let revoked = server.post("/v1/admin/tokens", json!({})).await;
    let path = format!("/v1/admin/tokens/{}", revoked["id"].as_str().unwrap());
    server.done(Method::DELETE, &path, Value::Null).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for (token, says) in [
        (old.as_str(), "too old"),
        (revoked["token"].as_str().unwrap(), "revoked"),
        ("curfew_enroll_x", "unknown"),
        ("", "unknown"),
    ] {
        let problem = server.enrol(token, "web-1", &key).await.problem();
        assert_eq!(problem.kind, ProblemKind::EnrolmentToken);
        assert!(problem.detail.contains(says), "{problem:?}");
    }
    let answer = server.admin(Method::POST, "/v1/admin/tokens", Some(json!({"seconds": 901}))).await;
    assert_eq!(answer.problem().kind, ProblemKind::BadRequest);
    assert_eq!(server.get("/v1/admin/hosts").await["hosts"], json!([]));
}

async fn a_used_token_answers_its_key_even_when_it_is_too_old(server: Server) {
    let key = SigningKey::generate().unwrap();
    let token = server.enrolment_token(json!({"seconds": 1})).await;
    let first = server.enrol(&token, "web-1", &key).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(server.enrol(&token, "web-1", &key).await.body, first.body);
    // But not one that was removed.
    server.done(Method::DELETE, "/v1/admin/hosts/web-1", Value::Null).await;
    assert_eq!(server.enrol(&token, "web-1", &key).await.problem().kind, ProblemKind::EnrolmentToken);
    // A new token lets it in again, as another host.
    let token = server.enrolment_token(json!({})).await;
    let back = server.enrol(&token, "web-1", &key).await;
    assert_ne!(back.json()["host"], first.json()["host"]);
}

async fn a_name_belongs_to_one_host_and_a_refusal_leaves_the_token_good(server: Server) {
    server.host("web-1", json!({})).await;
    let (token, key) = (server.enrolment_token(json!({})).await, SigningKey::generate().unwrap());
    assert_eq!(server.enrol(&token, "web-1", &key).await.problem().kind, ProblemKind::Conflict);
    assert_eq!(server.enrol(&token, "web/\u{1b}[2J", &key).await.problem().kind, ProblemKind::Conflict);
    assert_eq!(server.enrol(&token, "web-2", &key).await.status, 200);
}

async fn no_host_is_called_by_the_id_of_another_one(server: Server) {
    let (live, gone) = (server.host("web-1", json!({})).await, server.host("web-2", json!({})).await);
    server.done(Method::DELETE, "/v1/admin/hosts/web-2", Value::Null).await;
    // As ids are, as they once may have been, and as they would look.
    let old = "older-id";
    let file = server.post("/v1/admin/hosts", json!({"name": "files-1"})).await["id"].as_str().unwrap().to_owned();
    crate::postgres::change(&server.database, &format!("UPDATE hosts SET id = '{old}' WHERE id = '{file}'")).await;
    let (token, key) = (server.enrolment_token(json!({})).await, SigningKey::generate().unwrap());
    let never = "01KANJC0000000000000000000";
    for name in [live.id.as_str(), gone.id.as_str(), old, never, &gone.id.as_str().to_lowercase()] {
        let problem = server.enrol(&token, name, &key).await.problem();
        assert_eq!(problem.kind, ProblemKind::Conflict, "{name}");
        assert!(problem.detail.contains("take another name"), "{problem:?}");
        for path in ["/v1/admin/hosts", "/v1/admin/tokens"] {
            let answer = server.admin(Method::POST, path, Some(json!({"name": name}))).await;
            assert!([400, 409].contains(&answer.status), "{path} {name}: {answer:?}");
        }
    }
    // Nor does one that was called so before get what is meant for a host that was removed.
    assert_eq!(server.enrol(&token, "web-3", &key).await.status, 200);
    let sql = format!("UPDATE hosts SET name = '{}' WHERE name = 'web-3'", gone.id);
    crate::postgres::change(&server.database, &sql).await;
    let body = json!({"host": gone.id, "user": "alice", "seconds": 60, "login": {}, "reason": "r"});
    let answer = server.admin(Method::POST, "/v1/admin/grants", Some(body)).await;
    assert!((400..500).contains(&answer.status), "{answer:?}");
}

async fn the_token_says_what_the_host_is_called_and_labelled(server: Server) {
    let token = server.enrolment_token(json!({"name": "db-1", "labels": {"env": "prod"}})).await;
    let answer = server.enrol(&token, "whatever", &SigningKey::generate().unwrap()).await;
    let host = server.get("/v1/admin/hosts/db-1").await;
    assert_eq!((&host["id"], &host["labels"]), (&answer.json()["host"], &json!({"env": "prod"})));
    let used = server.get("/v1/admin/tokens").await;
    assert_eq!(used["tokens"][0]["host"], host["id"]);
    assert_eq!(used["tokens"][0]["token"], Value::Null);
}

async fn what_is_no_enrolment_is_refused(server: Server) {
    let (token, key) = (server.enrolment_token(json!({})).await, SigningKey::generate().unwrap());
    let elsewhere = Enrolment { token: token.clone(), name: "web-1".into(), aud: "https://elsewhere".into() };
    let good = Enrolment { token: token.clone(), name: "web-1".into(), aud: server.origin.clone() };
    let good = good.sign(&key).unwrap();
    let cut = good.get(..good.len() - 3).unwrap().to_owned();
    for body in [String::new(), "a.b.c".into(), cut, elsewhere.sign(&key).unwrap(), "\u{0}".repeat(100)] {
        let request = server.request(Method::POST, "/v1/enroll").body(body);
        assert_eq!(crate::harness::Answer::of(request).await.problem().kind, ProblemKind::BadRequest);
    }
    let answer = server.enrol(&token, "web-1", &key).await;
    let host = Host { id: serde_json::from_value(answer.json()["host"].clone()).unwrap(), key, pinned: vec![] };
    assert_eq!(host.poll(&server, None, None).await.status, 200);
}
