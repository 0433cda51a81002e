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
    a_label_that_is_not_there_is_not_unset,
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
    let order = json!({"user": "bob", "seconds": 60, "login": {}, "reason": "r", "ticket": "INC-77"});
    let path = format!("/v1/hosts/{}/requests", host.id);
    let request = host.send(&server, &path, &order).await.json()["request"].as_str().unwrap().to_owned();
    let waiting = server.says(&["request", "list"]);
    assert!(waiting.contains("bob") && waiting.contains("INC-77"), "{waiting}");
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
    server.host("trixie-1", json!({})).await;
    for (arguments, code, says) in [
        (&["grant", "create", "alice", "--host", "nobody", "--for", "1h", "--reason", "r"][..], 1, "nobody"),
        (&["grant", "create", "alice", "--host", "a", "--reason", "r"], 2, "--for <DURATION>|--until <TIME>"),
        (&["grant", "create", "alice", "--for", "1h", "--reason", "r"], 2, "--host <HOST>|--label <LABEL>"),
        (
            &["grant", "create", "alice", "--host", "a", "--label", "b=c", "--for", "1h", "--reason", "r"],
            2,
            "cannot be",
        ),
        (&["grant", "create", "alice", "--host", "a", "--for", "soon", "--reason", "r"], 2, "soon"),
        (&["host", "label", "a", "env"], 2, "env=prod"),
        (&["host", "list", "--ca", "/nowhere"], 1, "/nowhere"),
        (&["host", "list", "--token-file", "/nowhere"], 1, "/nowhere"),
        (&["host", "list", "--url", "http://127.0.0.1:1"], 2, "https:// is needed, like https://127.0.0.1:1"),
        (&["host", "list", "--url", "127.0.0.1:8443"], 2, "https:// is missing, like https://127.0.0.1:8443"),
        (&["host", "list", "--token-file", "/dev/null"], 1, "/dev/null is empty"),
        (&["token", "create", "--for", "1h"], 2, "--for is 1h; at most 15m"),
        (&["grant", "create", "a", "--host", "a", "--for", "0s", "--reason", "r"], 2, "--for is 0s; at least 1s"),
        (&["request", "approve", "a", "--for", "9999d"], 2, "--for is 9999d; at most 3660d"),
        (&["audit", "--since", "1h", "--until", "2h"], 2, "is not before --until"),
        (&["audit", "--last", "0"], 2, "at least 1"),
        (&["audit", "--user", "nosuch"], 0, "no records"),
        (&["audit", "--user", "nosuch", "--last", "5"], 0, "no records"),
        (&["request", "list", "--host", "trixy"], 1, "there is no host \"trixy\"; did you mean trixie-1?"),
        (&["grant", "create", "a", "--host", "b", "--for", "1h", "--reason", "r"], 1, "curfew-server host list"),
        (&["serve", "--config", "/nowhere"], 1, "/nowhere"),
        (&["export", "/nowhere", "--lifetime", "0s"], 2, "0s: a set is fresh for 30s to 30d"),
        (&["export", "/nowhere", "--lifetime", "9999d"], 2, "9999d: a set is fresh for 30s to 30d"),
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

async fn a_label_that_is_not_there_is_not_unset(server: Server) {
    server.host("web-1", json!({"env": "prod", "role": "web"})).await;
    let before = server.get("/v1/admin/hosts/web-1").await;
    for (unset, says) in [("ROLE=Web", "it has env=prod,role=web"), ("role=web", "by its name alone: role")] {
        let output = server.cli(&["host", "label", "web-1", "a=b", "--unset", unset]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(says) && error.contains("nothing was changed"), "{error}");
    }
    let after = server.get("/v1/admin/hosts/web-1").await;
    assert_eq!((&after["labels"], &after["version"]), (&before["labels"], &before["version"]));
    assert!(!server.says(&["host", "label", "web-1", "--unset", "role"]).contains("role"));
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
    let error = String::from_utf8_lossy(&again.stderr);
    let next = format!("curfew-server serve --config {}", data.join("server.toml").display());
    for part in ["there is an endpoint already", "nothing was changed", next.as_str()] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!error.contains("remove") && !error.contains("nothing is left"), "{error}");
    // The data is left, and a configuration that names no origin is new, as after a package was purged and installed.
    let config = folder.path().join("server.toml");
    let paths = format!(
        "database = {:?}\nkey_folder = {:?}\n",
        format!("sqlite://{}", data.join("curfew.db").display()),
        data.join("keys")
    );
    std::fs::write(&config, &paths).unwrap();
    let with = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_curfew-server"));
        let output = command.args(["init", "--config"]).arg(&config).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for arguments in [&[][..], &["--origin", "https://localhost:8443"]] {
        let (code, error) = with(arguments);
        assert_eq!(code, Some(1), "{error}");
        assert!(error.contains("there is an endpoint already") && error.contains("origins = ["), "{error}");
        assert_eq!(std::fs::read_to_string(&config).unwrap(), paths);
    }
    // Without one, the origin is what is missing.
    std::fs::write(&config, paths.replace(data.to_str().unwrap(), folder.path().join("new").to_str().unwrap()))
        .unwrap();
    let (code, error) = with(&["--data", folder.path().join("new").to_str().unwrap()]);
    let expected = "--origin is missing: the URL by which hosts will reach this endpoint, like --origin https://";
    assert!(code == Some(2) && error.contains(expected), "{error}");
}

#[tokio::test]
async fn init_for_a_second_server_leaves_the_first_ones_database_as_it_is() {
    let server = Server::postgres().await;
    let host = server.host("web-1", json!({})).await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("server.toml");
    let database = server.database.replacen("postgres://", "postgresql://", 1);
    let text = format!("origins = [{:?}]\ndatabase = {database:?}\n", server.origin);
    std::fs::write(&config, &text).unwrap();
    for name in ["certificate", "certificate_key", "ca", "key_folder"] {
        let line = format!("{name} = {:?}\n", folder.path().join("data").join(name));
        std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + &line).unwrap();
    }
    let mut init = std::process::Command::new(env!("CARGO_BIN_EXE_curfew-server"));
    let refused =
        init.args(["init", "--data"]).arg(folder.path().join("data")).arg("--config").arg(&config).output().unwrap();
    let error = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(error.contains("an endpoint in it already") && error.contains("copy"), "{error}");
    assert!(!folder.path().join("data").exists());
    let keys = json(&server.says(&["key", "list", "--json"]));
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    host.verify(&host.poll(&server, None, None).await);
}

#[tokio::test]
async fn files_are_for_web_servers_to_read_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::sqlite().await;
    let id = server.says(&["host", "add", "files-1"]);
    let folder = server.folder.path().join("www");
    std::fs::create_dir(&folder).unwrap();
    // Whoever can write to the folder makes the export write nowhere else.
    let precious = server.folder.path().join("precious");
    std::fs::write(&precious, "mine").unwrap();
    for name in [
        format!("{}.jws", id.trim()),
        format!("{}.new", id.trim()),
        format!(".{}.jws.new", id.trim()),
        "keys.json".into(),
        "keys.new".into(),
    ] {
        std::os::unix::fs::symlink(&precious, folder.join(name)).unwrap();
    }
    let script = "umask 077 && exec \"$0\" export \"$1\"";
    let mut shell = std::process::Command::new("sh");
    shell
        .env("CURFEW_SERVER_CONFIG", server.config())
        .args(["-c", script, env!("CARGO_BIN_EXE_curfew-server")])
        .arg(&folder);
    assert!(shell.status().unwrap().success());
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "mine");
    for name in [format!("{}.jws", id.trim()), "keys.json".into()] {
        let kind = std::fs::symlink_metadata(folder.join(&name)).unwrap();
        assert!(kind.is_file() && kind.permissions().mode() & 0o777 == 0o644, "{name}");
    }
    // So is a folder that is made, and each on the way to it; one that is there stays as it is.
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o750)).unwrap();
    let new = folder.join("new/er");
    let mut shell = std::process::Command::new("sh");
    shell.env("CURFEW_SERVER_CONFIG", server.config());
    assert!(shell.args(["-c", script, env!("CARGO_BIN_EXE_curfew-server")]).arg(&new).status().unwrap().success());
    for (path, mode) in [(&folder, 0o750), (&folder.join("new"), 0o755), (&new, 0o755)] {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{path:?}");
    }
    assert_eq!(std::fs::metadata(new.join("keys.json")).unwrap().permissions().mode() & 0o777, 0o644);
}

#[tokio::test]
async fn root_makes_the_endpoint_of_another_user_as_they() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    const NOBODY: u32 = 65534;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (data, precious) = (folder.path().join("data"), folder.path().join("precious"));
    let init = |more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_curfew-server"));
        command.args(["init", "--data"]).arg(&data).args(more).output().unwrap()
    };
    let theirs = || {
        std::fs::create_dir(&data).unwrap();
        std::fs::write(&precious, "mine").unwrap();
        std::fs::set_permissions(&precious, std::fs::Permissions::from_mode(0o600)).unwrap();
        chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    };
    // What is planted there leads root nowhere.
    for (name, target) in [
        ("curfew.db", "precious"),
        ("curfew.db-journal", "precious"),
        ("keys", "elsewhere"),
        ("tls", "elsewhere"),
        ("server.toml", "new"),
    ] {
        theirs();
        std::fs::create_dir(folder.path().join("elsewhere")).unwrap();
        symlink(folder.path().join(target), data.join(name)).unwrap();
        let done = init(&["--origin", "https://localhost:8443"]);
        let kept = std::fs::metadata(&precious).unwrap();
        assert_eq!((kept.uid(), kept.mode() & 0o777), (0, 0o600), "{name}");
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "mine", "{name}");
        assert_eq!(std::fs::read_dir(folder.path().join("elsewhere")).unwrap().count(), 0, "{name}: {done:?}");
        assert!(!folder.path().join("new").exists(), "{name}");
        std::fs::remove_dir_all(&data).unwrap();
        std::fs::remove_dir(folder.path().join("elsewhere")).unwrap();
    }
    // Where nothing is planted, all of it is theirs; and what was there before stays whose it was.
    theirs();
    std::fs::write(data.join("roots"), "").unwrap();
    let config = folder.path().join("server.toml");
    std::fs::write(&config, "# mine\n#origins = []\n").unwrap();
    let paths =
        ["certificate", "certificate_key", "ca", "key_folder"].map(|name| format!("{name} = {:?}\n", data.join(name)));
    let database = format!("database = {:?}\n", format!("sqlite://{}", data.join("c %41.db").display()));
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + &paths.concat() + &database).unwrap();
    let made = init(&["--origin", "https://localhost:8443", "--config", config.to_str().unwrap()]);
    assert!(made.status.success(), "{made:?}");
    assert!(std::fs::read_to_string(&config).unwrap().starts_with("# mine\norigins = [\"https://localhost:8443\"]\n"));
    assert_eq!(std::fs::metadata(&config).unwrap().uid(), 0);
    for entry in std::fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        let uid = entry.metadata().unwrap().uid();
        assert_eq!(uid, if entry.file_name() == "roots" { 0 } else { NOBODY }, "{entry:?}");
    }
    assert!(data.join("c %41.db").exists());
    let token = |name: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_curfew-server"));
        command.args(["admin-token", "create", name, "--config"]).arg(&config).output().unwrap()
    };
    assert!(token("second").status.success());
    // A second time, they say that it is there, and nobody says that nothing is left of it.
    let again = init(&["--config", config.to_str().unwrap()]);
    let error = String::from_utf8_lossy(&again.stderr);
    assert_eq!(again.status.code(), Some(1), "{error}");
    assert!(error.contains("there is an endpoint already") && !error.contains("nothing is left"), "{error}");
    // Nor is the database of another user opened by root.
    std::fs::rename(data.join("c %41.db"), data.join("away")).unwrap();
    symlink(&precious, data.join("c %41.db")).unwrap();
    assert_eq!(token("third").status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "mine");
}

#[tokio::test]
async fn what_would_do_harm_does_not_start() {
    let mut server = Server::sqlite().await;
    server.stop();
    let kept = std::fs::read_to_string(server.config()).unwrap();
    for (value, says) in [
        ("audit_keep = \"12m\"", "audit_keep is 12m (m is minutes)"),
        ("set_lifetime = \"1s\"", "set_lifetime is 1s"),
        ("max_connections = 32", "max_connections is 32; at least 64"),
        ("max_connections = 101", "max_connections is 101, and this process may have 100 files open (RLIMIT_NOFILE)"),
    ] {
        std::fs::write(server.config(), format!("{kept}{value}\n")).unwrap();
        let mut command = std::process::Command::new("prlimit");
        command.args(["--nofile=100", env!("CARGO_BIN_EXE_curfew-server"), "serve", "--config"]).arg(server.config());
        let refused = command.output().unwrap();
        let error = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{error}");
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_told_and_nothing_is_made() {
    let mut server = Server::sqlite().await;
    server.stop();
    let data = server.folder.path().join("data");
    for file in ["curfew.db", "curfew.db.server"] {
        std::fs::remove_file(data.join(file)).unwrap();
    }
    let files = || std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    let before = files();
    for command in [&["serve"][..], &["admin-token", "create", "second"]] {
        let refused = server.cli(command);
        let error = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{error}");
        assert!(error.contains("/curfew.db: there is no database") && error.contains("curfew-server init"), "{error}");
        assert_eq!(files(), before);
    }
}

#[tokio::test]
async fn a_server_that_does_not_run_is_to_be_started() {
    let mut server = Server::sqlite().await;
    let list = |server: &Server| {
        let output = server.command().env_remove("CURFEW_SERVER_TOKEN").args(["host", "list"]).output().unwrap();
        assert_eq!(output.status.code(), Some(if nix::unistd::geteuid().is_root() { 1 } else { 2 }), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let socket = server.folder.path().join("data/admin.sock");
    // Killed, it leaves its socket.
    server.kill();
    assert!(socket.exists());
    let output = server.command().env_remove("CURFEW_SERVER_TOKEN").args(["host", "list"]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let next = format!("curfew-server serve --config {}", server.config().display());
    assert!(error.contains("does not run") && error.contains(&next), "{error}");
    std::fs::remove_file(&socket).unwrap();
    let error = list(&server);
    match nix::unistd::geteuid().is_root() {
        true => assert!(error.contains("does not run") && error.contains(&next), "{error}"),
        false => assert!(error.contains("admin-token create"), "{error}"),
    }
}

#[tokio::test]
async fn an_sqlite_file_serves_one_server() {
    let server = Server::sqlite().await;
    let second = server.cli(&["serve"]);
    let error = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1));
    assert!(error.contains("another curfew-server"), "{error}");
}

#[tokio::test]
async fn the_local_socket_needs_no_certificates_of_authorities_and_without_them_the_next_step_is_told() {
    let server = Server::sqlite().await;
    let run = |arguments: &[&str]| {
        let mut command = server.command();
        command.env("SSL_CERT_FILE", "/nowhere/ca.crt").env("SSL_CERT_DIR", "/nowhere/certs").args(arguments);
        command
    };
    let local = run(&["host", "list"]).env_remove("CURFEW_SERVER_TOKEN").output().unwrap();
    assert!(local.status.success(), "{local:?}");
    let away = run(&["host", "list", "--url", "https://curfew.example.org:8443"]).output().unwrap();
    let error = String::from_utf8_lossy(&away.stderr);
    assert_eq!(away.status.code(), Some(1), "{error}");
    assert!(error.contains("no certificates of authorities could be read (") && error.contains("--ca FILE"), "{error}");
    assert!(!error.contains("builder error"), "{error}");
    // The server's own CA is enough where it is known.
    assert!(run(&["host", "list"]).output().unwrap().status.success());
}
