//! Administrators' tokens.

use crate::harness::{Answer, Server};
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
    for file in std::fs::read_dir(server.folder.path().join("data")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            for secret in [&server.admin_token, &enrolment] {
                let there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!there, "{}", path.display());
            }
        }
    }
}
