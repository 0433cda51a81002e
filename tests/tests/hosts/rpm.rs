//! The .rpm under rpm's own database: it comes, is upgraded under live sessions, and goes. On Debian, where the rest of the host is known;
//! what Fedora, Enterprise Linux and SUSE make of it, the hosts in `vagrant/` tell.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use curfew_tests::command::run;
use curfew_tests::{Host, Output, Release, assert_refused};

on_one_release! {
    an_rpm_whose_wiring_cant_be_taken_out_stays,
}

takes_long! {
    the_rpm_comes_is_upgraded_under_a_live_session_and_goes_to_the_byte: trixie Trixie;
    what_the_administrator_stopped_stays_so_over_an_upgrade: trixie Trixie;
    the_way_back_to_an_older_rpm_that_its_refusal_tells_is_one: trixie Trixie;
    the_servers_rpm_makes_its_user_and_starts_nothing: trixie Trixie;
}

/// What the packages require goes by other names here, and rpm knows of no package of Debian's.
const RPM: &str = "rpm --nodeps";
const PACKING: Duration = Duration::from_secs(300);

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A host with rpm, and `package` of this release at `/root/RELEASE.rpm`.
fn host_with(release: Release, package: &str, releases: &[&str]) -> Host {
    let host = Host::builder(release).without_package().with_packages(&["rpm"]).boot();
    let folder = tempfile::tempdir().expect("a folder");
    let script = |name: &str| Command::new(repository().join("packaging").join(name));
    let stage = folder.path().join("stage");
    run(script("stage").args(["rpm", package]).arg(&stage), PACKING).expect_ok("packaging/stage");
    for number in releases {
        let mut build = script("rpm/build");
        run(build.arg(package).arg(&stage).arg(folder.path()).arg(number), PACKING).expect_ok("packaging/rpm/build");
        let made = format!("{package}-{}-{number}.{}.rpm", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
        fs::copy(folder.path().join(made), host.path(&format!("/root/{number}.rpm")))
            .expect("the package can be copied");
    }
    // Where this host's PAM looks.
    host.ok("mkdir -p /usr/lib64/security && ln -s /usr/lib64/security/pam_curfew.so /usr/lib/$(uname -m)-linux-gnu/security/");
    host
}

fn verified(host: &Host, package: &str) {
    let said = host.run(&format!("rpm --verify --nodeps {package}"));
    assert!(said.success() && said.stdout.is_empty(), "{said:#?}");
}

fn refused(output: &Output, why: &str) {
    assert!(!output.success() && output.stderr.contains(why), "{output:#?}");
}

fn the_rpm_comes_is_upgraded_under_a_live_session_and_goes_to_the_byte(release: Release) {
    let host = host_with(release, "curfew", &["1", "2"]);
    let before = host.wiring();

    let said = host.ok(&format!("{RPM} --install /root/1.rpm"));
    assert!(said.contains("not in force"), "{said}");
    assert_eq!(host.wiring(), before, "installing wired something");
    for unit in ["curfewd.socket", "curfewd.service", "curfew-clock.timer"] {
        assert_eq!(
            host.ok(&format!("systemctl is-enabled {unit}; systemctl is-active {unit}")),
            "enabled\nactive",
            "{unit}"
        );
    }
    assert_eq!(host.ok("systemctl is-enabled curfew-sweep.service"), "enabled");
    verified(&host, "curfew");
    assert_eq!(host.ssh("alice", "id -un").expect_ok("installed, not enabled"), "alice");

    host.ok("curfew enable");
    assert_refused(&host.ssh("alice", "id"));
    let grant = host.grant("alice --for 1h --login --sudo --command /usr/bin/id");
    let mut shell = host.login("alice");
    assert!(shell.sudo("/usr/bin/id -un").contains("root"));

    // What the administrator switched off stays off.
    host.ok("systemctl disable --quiet curfew-clock.timer");
    let socket = host.ok("systemctl show -P InvocationID curfewd.socket");
    let agent = host.ok("systemctl show -P MainPID curfewd.service");
    host.ok(&format!("{RPM} --upgrade /root/2.rpm"));
    assert_eq!(host.ok("rpm --query --queryformat '%{RELEASE}' curfew"), "2");
    assert_eq!(host.ok("systemctl show -P InvocationID curfewd.socket"), socket, "somebody might have been refused");
    assert_ne!(host.ok("systemctl show -P MainPID curfewd.service"), agent);
    assert_eq!(host.run("systemctl is-enabled curfew-clock.timer").stdout.trim(), "disabled");
    assert_eq!(host.ok("systemctl is-enabled curfewd.service"), "enabled");
    assert!(shell.run("echo kept").contains("kept"), "the upgrade ended a session");
    assert!(shell.sudo("/usr/bin/id -un").contains("root"));
    assert_eq!(host.status()["grants"][0]["id"], grant.id.as_str());
    assert_refused(&host.ssh("bob", "id"));
    verified(&host, "curfew");

    refused(&host.run(&format!("{RPM} --upgrade /root/1.rpm")), "newer than");
    refused(&host.run(&format!("{RPM} --upgrade --oldpackage /root/1.rpm")), "does not take over from");
    assert_eq!(host.ok("rpm --query --queryformat '%{RELEASE}' curfew"), "2");
    host.ok("curfew status");

    // Another package's file for PAM that comes without our lines is told of: SSH is open.
    host.ok("cp -a /etc/pam.d/sshd /root/wired");
    let brought = host.run(&format!("{RPM} --install {}", pam_file_package(&host)));
    assert!(brought.success() && brought.stderr.contains("PAM does not ask Curfew about sshd"), "{brought:#?}");
    host.ok("rpm --erase --nodeps brings-pam && rm -f /etc/pam.d/sshd.rpm* && cp -a /root/wired /etc/pam.d/sshd");

    let said = host.ok(&format!("{RPM} --erase curfew"));
    assert!(said.contains("rm -r /var/lib/curfew"), "{said}");
    assert_eq!(host.wiring(), before, "erasing did not bring everything back");
    assert_eq!(host.ssh("root", "id -un").expect_ok("erased"), "root");
    assert_eq!(host.ssh("bob", "id -un").expect_ok("erased"), "bob");
    for rest in ["/run/curfew", "/etc/curfew", "/usr/lib64/security/pam_curfew.so", "/usr/sbin/curfewd"] {
        assert!(!host.has(rest), "{rest} is left");
    }
    assert!(host.has("/var/lib/curfew/audit"), "the audit is gone");
    let again = host.run(&format!("{RPM} --install /root/1.rpm"));
    refused(&again, "does not take over from");
    assert_eq!(host.ok("systemctl list-units --all --plain --no-legend 'curfew*'"), "");
    assert_eq!(host.ok("find /etc/systemd -name 'curfew*'"), "");
}

/// Makes a package that brings its own `/etc/pam.d/sshd`; gives its path in the host.
fn pam_file_package(host: &Host) -> &'static str {
    let spec = "Name: brings-pam\nVersion: 1\nRelease: 1\nSummary: A file for PAM\nLicense: MIT\nBuildArch: noarch\n%description\nIt.\n\
                %install\ninstall -D %{distributed} %{buildroot}/etc/pam.d/sshd\n%files\n%config /etc/pam.d/sshd\n";
    let folder = tempfile::tempdir().expect("a folder");
    let (file, distributed) = (folder.path().join("it.spec"), folder.path().join("sshd"));
    fs::write(&file, spec).expect("the spec can be written");
    fs::write(&distributed, "account required pam_unix.so\nauth required pam_unix.so\nsession required pam_unix.so\n")
        .expect("the file can be written");
    let mut build = Command::new("rpmbuild");
    build.arg("--quiet").arg("-bb").arg(&file).arg("--define").arg(format!("_topdir {}", folder.path().display()));
    build.arg("--define").arg(format!("distributed {}", distributed.display()));
    run(&mut build, PACKING).expect_ok("rpmbuild");
    fs::copy(folder.path().join("RPMS/noarch/brings-pam-1-1.noarch.rpm"), host.path("/root/brings-pam.rpm"))
        .expect("the package can be copied");
    "/root/brings-pam.rpm"
}

fn what_the_administrator_stopped_stays_so_over_an_upgrade(release: Release) {
    let host = host_with(release, "curfew", &["1", "2"]);
    host.ok(&format!("{RPM} --install /root/1.rpm && systemctl disable --quiet --now curfewd.socket curfewd.service"));
    host.ok(&format!("{RPM} --upgrade /root/2.rpm"));
    for unit in ["curfewd.socket", "curfewd.service"] {
        assert_eq!(host.run(&format!("systemctl is-enabled {unit}")).stdout.trim(), "disabled");
        assert_eq!(host.run(&format!("systemctl is-active {unit}")).stdout.trim(), "inactive");
    }
}

fn the_way_back_to_an_older_rpm_that_its_refusal_tells_is_one(release: Release) {
    let host = host_with(release, "curfew", &["1", "2"]);
    host.ok(&format!("{RPM} --install /root/2.rpm && echo ops >>/etc/curfew/exempt && curfew enable"));
    // With the newer one installed, and with what it stored alone.
    for erased in [false, true] {
        if erased {
            host.ok(&format!("rm -r /root/curfew && {RPM} --upgrade /root/2.rpm && {RPM} --erase curfew"));
        }
        let refusal = host.run(&format!("{RPM} --upgrade --oldpackage /root/1.rpm"));
        refused(&refusal, "does not take over from");
        let commands: Vec<&str> = refusal.stderr.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        let install = commands.iter().find(|line| line.starts_with("dnf install")).expect("a version to install");
        let recipe = commands.join("\n").replace(install, &format!("{RPM} --install /root/1.rpm"));
        host.ok(&recipe);
        assert_eq!(host.ok("rpm --query --queryformat '%{RELEASE}' curfew"), "1");
        assert_refused(&host.ssh("alice", "id"));
        let confirmed = host.ssh("ops", "echo ops-pw | sudo -S -p '' curfew confirm");
        assert!(confirmed.expect_ok("an exempt login").contains("Confirmed"));
    }
}

fn an_rpm_whose_wiring_cant_be_taken_out_stays(release: Release) {
    let host = host_with(release, "curfew", &["1"]);
    host.ok("mkdir -p /usr/lib/pam.d && mv /etc/pam.d/login /usr/lib/pam.d/login");
    host.ok(&format!("{RPM} --install /root/1.rpm && cp -a /etc/pam.d /root/pam.d"));
    let before = host.wiring();
    host.ok("curfew enable");
    // Whoever wrote it has to take it out.
    host.ok("echo 'session optional pam_curfew.so login' >>/etc/pam.d/su");
    let said = host.run(&format!("{RPM} --erase curfew"));
    refused(&said, "not erased");
    assert!(said.stderr.contains("/etc/pam.d/su:"), "{said:#?}");
    assert!(host.has("/usr/lib64/security/pam_curfew.so"));
    assert_eq!(host.ssh("root", "id -un").expect_ok("it stays"), "root");
    host.ok("curfew status");

    // Mended. The program is damaged by now.
    host.ok("cp /root/pam.d/su /etc/pam.d/su && curfew enable && truncate --size 100 /usr/bin/curfew");
    host.ok(&format!("{RPM} --erase curfew"));
    assert_eq!(host.wiring(), before);
    assert_eq!(host.ssh("alice", "id -un").expect_ok("erased"), "alice");

    // Whoever passes by all that is not locked out, either.
    host.ok(&format!("{RPM} --install /root/1.rpm && curfew enable && {RPM} --erase --nopreun curfew"));
    assert_eq!(host.wiring(), before);
    assert_eq!(host.ssh("alice", "id -un").expect_ok("erased"), "alice");
}

fn the_servers_rpm_makes_its_user_and_starts_nothing(release: Release) {
    let host = host_with(release, "curfew-server", &["1", "2"]);
    let said = host.ok(&format!("{RPM} --install /root/1.rpm"));
    assert!(said.contains("does not run"), "{said}");
    assert_eq!(host.run("systemctl is-enabled curfew-server").stdout.trim(), "disabled");
    assert_eq!(host.ok("stat -c '%U:%G %a' /etc/curfew/server.toml"), "root:curfew-server 640");
    assert_eq!(host.ok("stat -c '%U:%G %a' /var/lib/curfew-server"), "curfew-server:curfew-server 700");
    verified(&host, "curfew-server");

    host.ok("sed -i 's|^#origins = .*|origins = [\"https://127.0.0.1:8443\"]|' /etc/curfew/server.toml");
    host.ok("curfew-server init --config /etc/curfew/server.toml && systemctl enable --quiet --now curfew-server");
    let server = host.ok("systemctl show -P MainPID curfew-server");
    host.ok(&format!("{RPM} --upgrade /root/2.rpm"));
    assert_eq!(host.ok("systemctl is-active curfew-server"), "active");
    assert_ne!(host.ok("systemctl show -P MainPID curfew-server"), server);
    assert!(host.ok("cat /etc/curfew/server.toml").contains("127.0.0.1"), "the upgrade took the configuration away");

    refused(&host.run(&format!("{RPM} --upgrade --oldpackage /root/1.rpm")), "does not take over from");
    assert_eq!(host.ok("systemctl is-active curfew-server"), "active");
    let said = host.ok(&format!("{RPM} --erase curfew-server"));
    assert!(said.contains("rm -r /var/lib/curfew-server"), "{said}");
    assert!(host.has("/var/lib/curfew-server/curfew.db"));
    assert_eq!(host.run("systemctl is-active curfew-server").stdout.trim(), "inactive");
}
