//! What the agent builds on fails: disks are full, files can't be written, journald, D-Bus or logind are hung or gone. The
//! end comes on time all the same, nobody gets more than was granted, nobody who may be in is locked out, and no record is lost.

use std::time::Duration;

use curfew_tests::{Host, Release, SOON, Shell, assert_refused, report, wait_for};

on_every_release! {
    a_disk_without_room_or_inodes_gives_no_access_and_loses_no_record,
    a_full_runtime_folder_keeps_nobody_in_and_nobody_out,
    a_read_only_etc_leaves_the_wiring_whole_and_the_agent_running,
    journald_hung_or_gone_holds_up_nobody_and_gets_every_record_later,
    dbus_or_logind_hung_or_gone_delay_no_end,
}

on_one_release! {
    what_journald_took_and_never_read_is_copied_again,
}

/// How long after the end anything may still run, in milliseconds.
const LATEST: i64 = 500;
/// How long a covered login may take meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);
const STUBBORN: &str = "trap '' TERM HUP INT; while :; do sleep 0.2; done\n";

/// Sends to journald until its socket takes no more, whoever sends.
const FILL_JOURNAL: &str = r#"use IO::Socket::UNIX;
for (1 .. 100) {
    my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => "/run/systemd/journal/socket") or die;
    $socket->blocking(0);
    1 while $socket->send("MESSAGE=a filler\n");
    push @held, $socket;
}
"#;
const SOCKETS: &str = "systemd-journald.socket systemd-journald-dev-log.socket";

/// Something that fails.
struct Outage {
    what: &'static str,
    breaks: &'static str,
    mends: &'static str,
    /// Whether sshd itself gets anybody in meanwhile.
    logins: bool,
}

fn host(release: Release) -> Host {
    Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot()
}

/// Bob, who may be in all the time.
fn covered(host: &Host) -> Shell {
    let _grant = host.grant("bob --for 600s --login");
    host.login("bob")
}

/// A grant of alice's ends during the outage; `meanwhile` looks at more after that.
fn endures(host: &Host, bob: &mut Shell, outage: &Outage, meanwhile: impl FnOnce()) {
    let what = outage.what;
    let grant = host.grant("alice --for 7s --login --sudo --command ALL");
    host.drop_in();
    let mut before = host.login("alice");
    before.become_root();
    before.type_text(STUBBORN);
    host.ok(outage.breaks);
    let mut during = outage.logins.then(|| host.login("alice"));
    if let Some(during) = &mut during {
        during.type_text(STUBBORN);
        assert_refused(&host.ssh("carol", "id"));
    }
    let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
    report(&format!("{}: with {what}, sessions were dead {gone} ms after the end", host.release()));
    assert!((0..=LATEST).contains(&gone), "{what}: {gone} ms after the end");
    if outage.logins {
        assert_refused(&host.ssh("alice", "id"));
        let login = host.ssh("bob", "id -un");
        assert!(login.took < PATIENCE, "{what}: {login:?}");
        assert_eq!(login.expect_ok(what), "bob");
        assert_eq!(host.ssh("ops", "id -un").expect_ok(what), "ops");
    }
    assert_eq!(host.why("alice sshd")["reason_code"], "ended", "{what}");
    assert!(host.drop_ins().is_empty(), "{what}: {:?}", host.drop_ins());
    assert!(bob.run("echo in").contains("in"), "{what}");
    meanwhile();
    host.ok(outage.mends);
    assert!(bob.run("echo in").contains("in"), "{what}");
    assert_eq!(host.ssh("bob", "id -un").expect_ok(what), "bob");
    assert_eq!(host.agent_restarts(), 0, "{what}");
    host.audited("session.terminated", |record| record["user"] == "alice" && record["grant"] == grant.id.as_str());
    host.audited("sudoers.removed", |record| record["grant"] == grant.id.as_str());
    host.audit_is_whole();
}

fn a_disk_without_room_or_inodes_gives_no_access_and_loses_no_record(release: Release) {
    let host = host(release);
    // A look that is stored, and goes when its grant ends, would make room.
    host.reconfigure("residue_report = false");
    let mut bob = covered(&host);
    host.ok("systemctl stop curfewd.socket curfewd && cp -a /var/lib/curfew /var/lib/kept \
         && mount -t tmpfs -o size=1M,nr_inodes=64,mode=0700 state /var/lib/curfew \
         && cp -a /var/lib/kept/. /var/lib/curfew/ && systemctl start curfewd.socket curfewd");
    let mut faults = Vec::new();
    for (what, breaks) in [
        ("the disk full", "! dd if=/dev/zero of=/var/lib/curfew/ballast-1 bs=512 status=none 2>/dev/null"),
        (
            "no inode left",
            "i=0; while touch /var/lib/curfew/ballast-$i 2>/dev/null; do i=$((i + 1)); done; [ $i -gt 5 ]",
        ),
    ] {
        let outage = Outage { what, breaks, mends: "rm /var/lib/curfew/ballast*", logins: true };
        let known = host.grant("dave --for 600s --login");
        endures(&host, &mut bob, &outage, || {
            let grant = host.run("curfew grant carol --for 60s --login --reason none");
            assert!(!grant.success() && grant.stderr.contains("/var/lib/curfew"), "{what}: {grant:#?}");
            assert_refused(&host.ssh("carol", "id"));
            // A revocation waits for no disk, and says that it could not be stored: a restart would forget it.
            let revoked = host.run(&format!("curfew revoke {}", known.id));
            assert!(revoked.success(), "{what}: {revoked:#?}");
            assert_refused(&host.ssh("dave", "id"));
            faults.extend((!revoked.stderr.contains("stored")).then(|| format!("{what}: {revoked:?}")));
            // The last usable configuration stays whole, where a longer one finds no room.
            host.ok("cp /etc/curfew/agent.toml /root/old.toml && yes '# a filler' | head -c 100000 >>/etc/curfew/agent.toml");
            host.ok("systemctl reload curfewd && sleep 0.3");
            let last_good = "/var/lib/curfew/agent.toml.last-good";
            let whole = format!("cmp /root/old.toml {last_good} || cmp /etc/curfew/agent.toml {last_good}");
            faults.extend((!host.run(&whole).success()).then(|| format!("{what}: {last_good} is half a file")));
            host.ok("cp /root/old.toml /etc/curfew/agent.toml && systemctl reload curfewd");
        });
        let again = host.grant("carol --for 60s --login");
        host.ok("systemctl restart curfewd");
        assert_refused(&host.ssh("dave", "id"));
        assert!(host.ssh("carol", "true").success());
        host.ok(&format!("curfew revoke {}", again.id));
    }
    host.audit_is_whole();
    assert!(faults.is_empty(), "{faults:#?}");
}

fn a_full_runtime_folder_keeps_nobody_in_and_nobody_out(release: Release) {
    let host = host(release);
    let mut bob = covered(&host);
    let outage = Outage {
        what: "/run full",
        breaks: "mount -o remount,size=$(($(df --output=used -k /run | tail -n 1) + 64))k /run && \
                 ! dd if=/dev/zero of=/run/ballast bs=512 status=none 2>/dev/null",
        mends: "rm /run/ballast*; mount -o remount,size=64M /run",
        logins: true,
    };
    endures(&host, &mut bob, &outage, || {
        // What has ended made some room.
        host.ok("! dd if=/dev/zero of=/run/ballast-2 bs=512 status=none 2>/dev/null");
        let grant = host.grant("carol --for 5s --login --sudo --command ALL");
        let mut carol = host.login("carol");
        carol.type_text(STUBBORN);
        wait_for("the problem in the status", SOON, || {
            host.status()["problems"].to_string().contains("gives no sudo").then_some(())
        });
        assert!(!host.drop_ins().iter().any(|name| name.contains(grant.id.as_str())), "{:?}", host.drop_ins());
        // An agent that could not write down who is in forgets nobody over a restart.
        host.ok("systemctl restart curfewd");
        let gone = host.gone_after(grant.not_after, |host| host.session_processes("carol"));
        assert!((0..=LATEST).contains(&gone), "{gone} ms after the end");
    });
    let _again = host.grant("carol --for 60s --sudo --command ALL");
    host.drop_in();
}

fn a_read_only_etc_leaves_the_wiring_whole_and_the_agent_running(release: Release) {
    const BREAKS: &str = "mount --bind /etc /etc && mount -o remount,ro,bind /etc && ! touch /etc/there 2>/dev/null";
    const MENDS: &str = "umount /etc";
    const WIRING: &str = "find /etc/pam.d /etc/sudoers.d -type f -exec sha256sum {} + | sort -k 2";
    let host = host(release);
    let mut bob = covered(&host);
    let wired = host.ok(WIRING);
    let outage = Outage { what: "/etc read-only", breaks: BREAKS, mends: MENDS, logins: true };
    endures(&host, &mut bob, &outage, || {
        let disable = host.run("curfew disable");
        assert!(!disable.success() && disable.stderr.contains("/etc/"), "{disable:#?}");
        assert_eq!(host.ok(WIRING), wired);
        assert_refused(&host.ssh("carol", "id"));
        host.ok("systemctl reload curfewd && systemctl restart curfewd && systemctl is-active curfewd");
    });
    host.ok("curfew disable");
    let plain = host.ok(WIRING);
    host.ok(BREAKS);
    let enable = host.run("curfew enable");
    assert!(!enable.success() && enable.stderr.contains("/etc/"), "{enable:#?}");
    assert_eq!(host.ok(WIRING), plain);
    assert!(host.ssh("carol", "true").success(), "somebody is refused by a Curfew that is not enabled");
    host.ok(MENDS);
    host.ok("curfew enable");
    assert_eq!(host.ok(WIRING), wired);
    assert_refused(&host.ssh("carol", "id"));
    assert!(bob.run("echo in").contains("in"));
}

fn journald_hung_or_gone_holds_up_nobody_and_gets_every_record_later(release: Release) {
    let host = host(release);
    let mut bob = covered(&host);
    host.write("/root/fill-journal", FILL_JOURNAL);
    // sshd itself waits for a journald that hangs, so PAM's question is asked without it. What the agent says of its own
    // state, here of its configuration, has to wait for journald as little as the audit does.
    let hung = Outage {
        what: "journald hung",
        breaks: "kill -STOP $(pidof systemd-journald) && perl /root/fill-journal && kill -HUP $(pidof curfewd)",
        mends: "kill -CONT $(pidof systemd-journald)",
        logins: false,
    };
    endures(&host, &mut bob, &hung, || {
        let answers = host.ask_pam("bob", 100);
        assert!(answers.within(1.0) < 2000.0, "{answers:?}");
    });
    let breaks = format!("systemctl stop {SOCKETS} systemd-journald.service 2>/dev/null");
    let mends = format!("systemctl start {SOCKETS} systemd-journald.service");
    let gone = Outage { what: "journald gone", breaks: breaks.leak(), mends: mends.leak(), logins: true };
    endures(&host, &mut bob, &gone, || {
        let answers = host.ask_pam("bob", 100);
        assert!(answers.within(1.0) < 2000.0, "{answers:?}");
    });
}

fn what_journald_took_and_never_read_is_copied_again(release: Release) {
    let host = host(release);
    let service = "systemd-journald.service";
    host.write("/root/fill-journal", FILL_JOURNAL);
    // What is in the socket of a journald that hangs goes with the socket.
    host.ok("kill -STOP $(pidof systemd-journald)");
    let _lost = host.grant("bob --for 600s --login");
    std::thread::sleep(Duration::from_millis(500));
    host.ok("perl /root/fill-journal");
    let _waits = host.grant("dave --for 600s --login");
    std::thread::sleep(Duration::from_millis(500));
    host.ok(&format!("systemctl mask --runtime --quiet {service}; kill -KILL $(pidof systemd-journald)"));
    host.ok(&format!("systemctl stop {SOCKETS} {service} 2>/dev/null"));
    host.ok(&format!("systemctl unmask --runtime --quiet {service} && systemctl reset-failed {SOCKETS} {service}"));
    host.ok(&format!("systemctl start {SOCKETS} {service}"));
    let _more = host.grant("carol --for 600s --login");
    host.audit_is_whole();
}

fn dbus_or_logind_hung_or_gone_delay_no_end(release: Release) {
    let host = host(release);
    let mut bob = covered(&host);
    let outages = [
        Outage {
            what: "D-Bus gone",
            breaks: "systemctl stop dbus.socket dbus.service",
            mends: "systemctl start dbus.socket dbus.service && systemctl restart systemd-logind",
            logins: true,
        },
        Outage {
            what: "logind gone",
            breaks: "systemctl mask --runtime --now systemd-logind 2>/dev/null",
            mends: "systemctl unmask --runtime systemd-logind 2>/dev/null && systemctl start systemd-logind",
            logins: true,
        },
        Outage {
            what: "logind hung",
            breaks: "kill -STOP $(pidof systemd-logind)",
            mends: "kill -CONT $(pidof systemd-logind)",
            logins: false,
        },
        Outage { what: "logind restarted", breaks: "systemctl restart systemd-logind", mends: "true", logins: true },
    ];
    for outage in &outages {
        endures(&host, &mut bob, outage, || {});
    }
    let hung = Outage {
        what: "D-Bus hung",
        breaks: "kill -STOP $(pidof dbus-daemon)",
        mends: "kill -CONT $(pidof dbus-daemon)",
        logins: false,
    };
    endures(&host, &mut bob, &hung, || {
        host.ok("systemctl restart curfewd");
        let answers = host.ask_pam("bob", 10);
        assert!(answers.within(1.0) < 2000.0, "{answers:?}");
    });
}
