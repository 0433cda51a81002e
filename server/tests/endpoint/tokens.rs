//! Host tokens: each for its host, its endpoint, its body and its minute, once.

use crate::harness::{Answer, Server, new_jti, now};
use curfew_protocol::host_api::{HostToken, ProblemKind, audit_path, grants_path};
use curfew_protocol::jws::SigningKey;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::json;

on_each_database!(
    a_token_is_good_once,
    a_token_of_another_host_key_endpoint_or_time_is_refused_for_what_it_is,
    a_token_for_one_body_carries_no_other,
    without_a_token_nothing_is_answered,
);

async fn get(server: &Server, path: &str, token: &str) -> Answer {
    Answer::of(server.request(Method::GET, path).bearer_auth(token)).await
}

async fn a_token_is_good_once(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let (path, token) = (grants_path(&host.id), host.token(&server, b""));
    assert_eq!(get(&server, &path, &token).await.status, 200);
    let replayed = get(&server, &path, &token).await;
    assert_eq!(replayed.problem().kind, ProblemKind::Replayed);
    assert_eq!(replayed.headers["www-authenticate"], "Bearer");
}

async fn a_token_of_another_host_key_endpoint_or_time_is_refused_for_what_it_is(server: Server) {
    let (host, other) = (server.host("web-1", json!({})).await, server.host("web-2", json!({})).await);
    let path = grants_path(&host.id);
    assert_eq!(get(&server, &path, &other.token(&server, b"")).await.problem().kind, ProblemKind::Forbidden);
    let make = |origin: &str, late: i64| {
        let at = now() + SignedDuration::from_secs(late);
        HostToken::new(host.id.clone(), origin, at, new_jti(), b"")
    };
    let stranger = SigningKey::generate().unwrap();
    for (token, key, kind) in [
        (make(&server.origin, 0), &stranger, ProblemKind::Unauthorized),
        (make(&server.origin, 0), &other.key, ProblemKind::Unauthorized),
        (make("https://elsewhere", 0), &host.key, ProblemKind::Unauthorized),
        (make(&server.origin, 70), &host.key, ProblemKind::Clock),
        (make(&server.origin, -130), &host.key, ProblemKind::Clock),
        (HostToken { exp: i64::MAX, ..make(&server.origin, 0) }, &host.key, ProblemKind::Clock),
        (HostToken { jti: "j".repeat(200), ..make(&server.origin, 0) }, &host.key, ProblemKind::Unauthorized),
        (HostToken { iss: "nobody".parse().unwrap(), ..make(&server.origin, 0) }, &host.key, ProblemKind::Forbidden),
    ] {
        let answer = get(&server, &path, &token.sign(key).unwrap()).await;
        assert_eq!(answer.problem().kind, kind, "{token:?}");
    }
    let nobody = HostToken { iss: "nobody".parse().unwrap(), ..make(&server.origin, 0) }.sign(&host.key).unwrap();
    assert_eq!(get(&server, "/v1/hosts/nobody/grants", &nobody).await.problem().kind, ProblemKind::NoSuchHost);
    // None of these was anything for the host itself.
    assert_eq!(host.poll(&server, None, None).await.status, 200);
}

async fn a_token_for_one_body_carries_no_other(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let path = audit_path(&host.id);
    let batch = |series: &str| json!({"series": series, "oldest": 1, "records": []}).to_string();
    for meant in [batch("b").into_bytes(), Vec::new()] {
        let token = host.token(&server, &meant);
        let request = server.request(Method::POST, &path).bearer_auth(token).body(batch("a"));
        assert_eq!(Answer::of(request).await.problem().kind, ProblemKind::Unauthorized);
    }
}

async fn without_a_token_nothing_is_answered(server: Server) {
    let host = server.host("web-1", json!({})).await;
    for header in ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a.b.c", "Bearer \u{e9}"] {
        let request = server.request(Method::GET, &grants_path(&host.id)).header("authorization", header);
        assert_eq!(Answer::of(request).await.problem().kind, ProblemKind::Unauthorized, "{header:?}");
    }
    // An administrator's token is no host's, and the other way round.
    let request = server.request(Method::GET, &grants_path(&host.id)).bearer_auth(&server.admin_token);
    assert_eq!(Answer::of(request).await.problem().kind, ProblemKind::Unauthorized);
    let request = server.request(Method::GET, "/v1/admin/hosts").bearer_auth(host.token(&server, b""));
    assert_eq!(Answer::of(request).await.problem().kind, ProblemKind::Unauthorized);
}
