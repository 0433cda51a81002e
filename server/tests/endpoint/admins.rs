//! Administrators' tokens.

use crate::harness::{Answer, Server};
use crate::postgres::dump;
use curfew_protocol::host_api::ProblemKind;
use reqwest::Method;

on_each_database!(a_revoked_token_opens_nothing, only_its_hash_is_kept);

async fn a_revoked_token_opens_nothing(server: Server) {
    let token = server.says(&["admin-token", "create", "bob"]).trim().to_owned();
    let list = async || Answer::of(server.request(Method::GET, "/v1/admin/hosts").bearer_auth(&token)).await;
    assert_eq!(list().await.status, 200);
    server.says(&["admin-token", "revoke", "bob"]);
    assert_eq!(list().await.problem().kind, ProblemKind::Unauthorized);
    let twice = server.cli(&["admin-token", "create", "bob"]);
    assert_eq!(twice.status.code(), Some(1));
    let tokens = server.says(&["admin-token", "list"]);
    assert!(tokens.contains("bob") && !tokens.contains(&token), "{tokens}");
}

async fn only_its_hash_is_kept(server: Server) {
    let enrolment = server.enrolment_token(serde_json::json!({})).await;
    let mut places = Vec::new();
    for file in std::fs::read_dir(server.folder.path().join("data")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            places.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    if server.database.starts_with("postgres:") {
        let dump = dump(&server.database);
        assert!(dump.windows(5).any(|window| window == b"first"), "the administrator's name is there");
        places.push(("the database".into(), dump));
    }
    for (place, bytes) in places {
        for secret in [&server.admin_token, &enrolment] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{place}");
        }
    }
}
