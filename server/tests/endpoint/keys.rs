//! The keys that sign sets: the old and the new one overlap, so that no host is left behind.

use crate::harness::{Host, Server};
use curfew_protocol::host_api::ProblemKind;
use reqwest::Method;
use serde_json::{Value, json};

on_each_database!(a_key_changes_with_an_overlap, the_key_that_signs_can_not_be_retired);

fn states(list: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list["keys"].as_array().unwrap().iter().map(|key| (text(&key["kid"]), text(&key["state"]))).collect()
}

/// Fetches the set by the keys that the host has pinned, and pins what it says.
async fn apply(server: &Server, host: &mut Host) -> String {
    let answer = host.poll(server, None, None).await;
    host.pinned = host.verify(&answer).keys;
    answer.tag().into()
}

async fn a_key_changes_with_an_overlap(server: Server) {
    let mut host = server.host("web-1", json!({})).await;
    let late = server.host("web-2", json!({})).await;
    let old = host.pinned[0].kid();
    let list = server.post("/v1/admin/keys", json!({})).await;
    let new = states(&list).iter().find(|(kid, _)| *kid != old).unwrap().0.clone();
    assert_eq!(list["without_newest"], json!(["web-1", "web-2"]));
    let put_to_use = format!("/v1/admin/keys/{new}/use");
    let tag = apply(&server, &mut host).await;
    assert_eq!(host.pinned.len(), 2);
    // It has applied that set when it asks for what comes after it.
    host.poll(&server, Some(&tag), None).await;
    let refused = server.admin(Method::POST, &put_to_use, Some(json!({}))).await.problem();
    assert_eq!(refused.kind, ProblemKind::Conflict);
    assert!(refused.detail.contains("web-2") && !refused.detail.contains("web-1"), "{refused:?}");
    let tag = late.poll(&server, None, None).await.tag().to_owned();
    late.poll(&server, Some(&tag), None).await;
    let list = server.post(&put_to_use, json!({})).await;
    assert!(states(&list).contains(&(new.clone(), "active".into())), "{list}");
    // The new key signs, and the host has pinned it.
    let tag = apply(&server, &mut host).await;
    assert_eq!(host.pinned[0].kid(), new);
    server.done(Method::POST, &format!("/v1/admin/keys/{old}/retire"), Value::Null).await;
    // It can't sign any more, whatever else there is to say.
    let lagging = server.host("web-3", json!({})).await;
    let refused = server.cli(&["key", "use", &old]);
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(error.contains("is retired") && error.contains("curfew-server key add"), "{error}");
    let refused = server.cli(&["key", "use", "nope"]);
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(error.contains("no signing key \"nope\"") && error.contains("curfew-server key list"), "{error}");
    drop(lagging);
    let answer = host.poll(&server, Some(&tag), Some(20)).await;
    assert_eq!(host.verify(&answer).keys.len(), 1);
    // A host that heard of none of it believes nothing any more.
    let answer = late.poll(&server, None, None).await;
    let only_old = late.pinned.iter().filter(|key| key.kid() == old).cloned().collect::<Vec<_>>();
    let now = crate::harness::now();
    let set = curfew_protocol::grant_set::GrantSet::verify(&answer.body, &only_old, &late.id, Default::default(), now);
    assert!(set.is_err());
}

async fn the_key_that_signs_can_not_be_retired(server: Server) {
    let list = server.get("/v1/admin/keys").await;
    let (kid, _) = states(&list)[0].clone();
    let answer = server.admin(Method::POST, &format!("/v1/admin/keys/{kid}/retire"), None).await;
    assert_eq!(answer.problem().kind, ProblemKind::Conflict);
    for kid in ["none", "..%2F..%2Fetc%2Fpasswd", &"k".repeat(255)] {
        let answer =
            server.admin(Method::POST, &format!("/v1/admin/keys/{kid}/use"), Some(json!({"force": true}))).await;
        assert_eq!(answer.problem().kind, ProblemKind::NotFound);
        let answer = server.admin(Method::POST, "/v1/admin/keys", Some(json!({"kid": "../../server"}))).await;
        assert_eq!(answer.problem().kind, ProblemKind::NotFound);
    }
}
