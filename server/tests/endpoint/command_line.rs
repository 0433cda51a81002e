//! The command line, against a server and beside it.

use crate::harness::Server;
use curfew_protocol::grant_set::{GrantSet, Mark};
use curfew_protocol::jws::PublicKey;
use serde_json::{Value, json};

on_each_database!(
    what_the_calls_do_the_command_line_does,
    mistakes_are_named_and_told_apart_by_the_exit_code,
    exported_files_are_sets_that_hosts_believe,
    after_a_bump_of_the_epoch_every_set_is_newer,
);

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

async fn what_the_calls_do_the_command_line_does(server: Server) {
    let host = server.host("web-1", json!({})).await;
    server.says(&["host", "label", "web-1", "env=prod", "role=web"]);
    let id = server
        .says(&["grant", "create", "alice", "--labels", "env=prod", "--for", "1h", "--sudo", "--reason", "INC-1"]);
    assert_eq!(host.grants(&server).await, [id.trim()]);
    let list = json(&server.says(&["grant", "list", "--host", "web-1", "--json"]));
    assert_eq!(list[0]["grant"]["sudo"], json!({"run_as": ["root"], "commands": ["ALL"]}));
    assert!(server.says(&["grant", "list"]).contains("INC-1"));
    server.says(&["grant", "revoke", id.trim(), "--reason", "done"]);
    assert!(host.grants(&server).await.is_empty());
    assert!(server.says(&["grant", "show", id.trim()]).contains("\"revoked\""));
    let order = json!({"user": "bob", "seconds": 60, "login": {}, "reason": "r"});
    let path = format!("/v1/hosts/{}/requests", host.id);
    let request = host.send(&server, &path, &order).await.json()["request"].as_str().unwrap().to_owned();
    assert!(server.says(&["request", "list"]).contains("bob"));
    let grant = server.says(&["request", "approve", &request]);
    assert_eq!(host.grants(&server).await, [grant.trim()]);
    let csv = server.says(&["audit", "--grant", id.trim(), "--format", "csv"]);
    assert_eq!(csv.lines().count(), 3, "{csv}");
    let lines = server.says(&["audit", "--json", "--host", "web-1", "--limit", "2"]);
    assert_eq!(lines.lines().map(json).count(), 2);
    assert!(server.says(&["audit"]).contains("host.labelled"));
    assert!(server.says(&["key", "list"]).contains("active"));
    let token = server.says(&["token", "create", "--name", "db-1", "--label", "env=prod"]);
    assert!(token.starts_with("curfew_enroll_"), "{token}");
    assert!(server.says(&["token", "list"]).contains("db-1"));
    server.says(&["host", "remove", "web-1"]);
    assert!(server.says(&["host", "list", "--removed"]).contains("web-1"));
}

async fn mistakes_are_named_and_told_apart_by_the_exit_code(server: Server) {
    for (arguments, code, says) in [
        (&["grant", "create", "alice", "--host", "nobody", "--for", "1h", "--reason", "r"][..], 1, "nobody"),
        (&["grant", "create", "alice", "--host", "a", "--reason", "r"], 2, "--for"),
        (&["grant", "create", "alice", "--host", "a", "--for", "soon", "--reason", "r"], 2, "soon"),
        (&["host", "label", "a", "env"], 2, "env=prod"),
        (&["host", "list", "--ca", "/nowhere"], 1, "/nowhere"),
        (&["host", "list", "--token-file", "/nowhere"], 1, "/nowhere"),
        (&["host", "list", "--url", "http://127.0.0.1:1"], 1, "http://127.0.0.1:1"),
        (&["serve", "--config", "/nowhere"], 1, "/nowhere"),
    ] {
        let output = server.cli(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
    }
}

async fn exported_files_are_sets_that_hosts_believe(server: Server) {
    let id = server.says(&["host", "add", "files-1", "--label", "env=prod"]);
    let id = id.trim();
    let grant = server.grant("alice", json!({"labels": {"env": "prod"}})).await;
    let folder = server.folder.path().join("www");
    let folder = folder.to_str().unwrap();
    server.says(&["export", folder, "--lifetime", "2h"]);
    let keys = json(&std::fs::read_to_string(format!("{folder}/keys.json")).unwrap());
    let keys: Vec<PublicKey> = serde_json::from_value(keys["keys"].clone()).unwrap();
    let set = || {
        let text = std::fs::read_to_string(format!("{folder}/{id}.jws")).unwrap();
        GrantSet::verify(&text, &keys, &id.parse().unwrap(), Mark::default(), crate::harness::now()).unwrap()
    };
    assert_eq!(crate::harness::ids(&set()), [grant]);
    assert_eq!(set().fresh_until.as_second() - set().issued.as_second(), 7200);
    // A host that was removed is told so where it looks.
    server.says(&["host", "remove", "files-1"]);
    server.says(&["export", folder]);
    assert!(set().grants.is_empty());
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 2);
}

async fn after_a_bump_of_the_epoch_every_set_is_newer(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let before = host.verify(&host.poll(&server, None, None).await);
    server.says(&["epoch", "bump"]);
    let after = host.verify(&host.poll(&server, None, None).await);
    assert_eq!(after.mark.epoch, before.mark.epoch + 1);
}

#[tokio::test]
async fn init_writes_a_configuration_that_serves_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let init = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_curfew-server"));
        command.args(["init", "--origin", "https://127.0.0.1:8443", "--data"]).arg(&data).output().unwrap()
    };
    let made = init();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(said.contains("curfew_admin_") && said.contains("server.toml"), "{said}");
    let again = init();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("nothing is overwritten"));
}

#[tokio::test]
async fn an_sqlite_file_serves_one_server() {
    let server = Server::sqlite().await;
    let second = server.cli(&["serve"]);
    let error = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1));
    assert!(error.contains("another curfew-server"), "{error}");
}
