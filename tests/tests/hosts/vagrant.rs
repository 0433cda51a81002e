//! What `vagrant up` runs on its machines, run on hosts of the tests: the same scripts, the same packages.

use std::fs;
use std::time::Duration;

use curfew_tests::root::{package, server_package};
use curfew_tests::{Host, Release, assert_refused};

on_every_release! {
    the_scenario_fails_at_the_first_thing_that_is_not_as_it_should_be,
}

takes_long! {
    the_vagrant_scripts_install_curfew_and_play_its_scenario_to_the_end: bookworm Bookworm, trixie Trixie, trixie_sudo_rs TrixieSudoRs;
}

/// Where Vagrant puts what the provision script needs.
const FOLDER: &str = "/tmp/curfew";
/// What the scenario says, part by part.
const PARTS: [&str; 6] =
    ["installing changes nothing", "refused", "in, and root", "rules end", "the audit", "everything is as it was"];

fn copy_vagrant(host: &Host) {
    host.ok(&format!("mkdir -p {FOLDER}/packages"));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../vagrant");
    for script in ["provision", "scenario"] {
        host.write(
            &format!("{FOLDER}/{script}"),
            fs::read(format!("{folder}/{script}")).expect("it is in the checkout"),
        );
    }
    for package in [package(), server_package()] {
        let package = package.expect("packaging/build was run");
        let name = package.file_name().expect("a file").to_string_lossy().into_owned();
        host.write(&format!("{FOLDER}/packages/{name}"), fs::read(package).expect("it can be read"));
    }
}

fn the_vagrant_scripts_install_curfew_and_play_its_scenario_to_the_end(release: Release) {
    let host = Host::builder(release).without_package().boot();
    host.ok("userdel --remove alice && useradd vagrant");
    copy_vagrant(&host);
    // `vagrant up`, then `vagrant provision`.
    for time in ["first", "second"] {
        let said = host.spawn(&format!("sh {FOLDER}/provision")).finish(Duration::from_secs(180));
        assert!(said.success(), "{time}: {said:#?}");
        for part in PARTS {
            let mut lines = said.stdout.lines();
            let there = lines.any(|line| line.starts_with("scenario: ok:") && line.contains(part));
            assert!(there, "{time}, {part}: {said:#?}");
        }
    }
    // What it leaves: Curfew in force, with whoever runs the machine exempt, and somebody to try it with.
    assert_eq!(host.ok("grep -x vagrant /etc/curfew/exempt; id -un alice"), "vagrant\nalice");
    assert_refused(&host.ssh("bob", "id"));
    assert!(!host.run("id curfew-trial").success());
}

fn the_scenario_fails_at_the_first_thing_that_is_not_as_it_should_be(release: Release) {
    let host = Host::builder(release).not_enabled().boot();
    copy_vagrant(&host);
    host.ok("sed -i '1i mode = \"observe\"' /etc/curfew/agent.toml && systemctl reload curfewd");
    let said = host.run(&format!("sh {FOLDER}/scenario"));
    assert_eq!(said.status, 1, "{said:#?}");
    assert!(said.stderr.contains("without a grant, a login should be refused"), "{said:#?}");
    assert!(!host.run("grep -r curfew /etc/pam.d").success(), "it left its wiring behind");
    assert!(!host.run("id curfew-trial").success());
}
