//! What people with sudo leave behind for later is found when their sudo ends.

use std::time::Duration;

use curfew_tests::{Grant, Host, Release, SOON, report, wait_for};
use serde_json::Value;

on_every_release! {
    what_root_leaves_behind_is_found_at_the_end_of_sudo,
    whatever_starts_code_or_lets_somebody_in_is_named_wherever_it_is,
    what_is_planted_as_soon_as_sudo_works_is_named_however_full_the_host_is,
    a_flood_of_harmless_files_hides_nothing,
    a_grant_that_leaves_nothing_behind_gets_no_report,
    a_fifo_and_a_loop_do_not_hold_up_the_report,
    the_report_comes_also_when_the_agent_was_restarted_in_between,
    a_first_look_that_came_late_or_was_spoiled_is_said_in_the_report,
}

/// How long after the end the second look may be over.
const LOOK: Duration = Duration::from_secs(60);

/// What alice plants as root, in an order in which each part works.
const PLANT: &str = r#"
umask 022
mkdir -p /root/.ssh /etc/cron.d
echo "$(cat /etc/curfew-tests/keys/carol.pub) for-later" >> /root/.ssh/authorized_keys
echo '* * * * * root true' > /etc/cron.d/later
echo 'alice ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/later
for place in /usr/local/bin /tmp /dev/shm /home/alice; do cp /bin/dash $place/rootsh; chmod 4755 $place/rootsh; done
cp /bin/dash /var/tmp/capable
perl -e '$path = shift; $name = "security.capability"; $value = pack("V5", 0x02000001, 0x80, 0, 0, 0);
         syscall(188, $path, $name, $value, 20, 0) == 0 or die $!' /var/tmp/capable
usermod --append --groups sudo alice
useradd --non-unique --uid 0 --no-create-home --home-dir /root toor
mkdir -p /home/alice/.config/systemd/user
echo '[Service]' > /home/alice/.config/systemd/user/later.service
echo '[Service]' > /etc/systemd/system/later.service
mkdir -p /var/lib/systemd/linger
touch /var/lib/systemd/linger/carol
systemd-run --unit=later-run --on-active=1d true
echo '# looser' >> /etc/pam.d/su
: > /etc/ld.so.preload
for list in subuid subgid; do echo 'alice:0:65536' >> /etc/$list; done
for list in subuid subgid; do echo 'alice:0:65536' >> /etc/$list; done
"#;

/// What alice plants elsewhere, each with what the report has to say of it.
const ELSEWHERE: &[(&str, &str)] = &[
    // systemd's load path, for the host and for people (systemd.unit(5)).
    ("unit /etc/systemd/system.control/a.service", "added system unit /etc/systemd/system.control/a.service"),
    ("unit /run/systemd/system.control/a.service", "added system unit /run/systemd/system.control/a.service"),
    ("unit /run/systemd/generator.early/a.service", "added system unit /run/systemd/generator.early/a.service"),
    ("unit /etc/systemd/system.attached/a.service", "added system unit /etc/systemd/system.attached/a.service"),
    ("unit /run/systemd/system/a.service", "added system unit /run/systemd/system/a.service"),
    ("unit /run/systemd/generator/a.service", "added system unit /run/systemd/generator/a.service"),
    ("unit /usr/local/lib/systemd/system/a.service", "added system unit /usr/local/lib/systemd/system/a.service"),
    ("unit /usr/lib/systemd/system/a.service", "added system unit /usr/lib/systemd/system/a.service"),
    (
        "unit /usr/lib/systemd/system/cron.service.d/a.conf",
        "added system unit /usr/lib/systemd/system/cron.service.d/a.conf",
    ),
    ("unit /run/systemd/generator.late/a.service", "added system unit /run/systemd/generator.late/a.service"),
    ("unit /etc/systemd/system-generators/a", "added system unit /etc/systemd/system-generators/a"),
    ("unit /etc/xdg/systemd/user/a.service", "added user unit /etc/xdg/systemd/user/a.service"),
    ("unit /run/systemd/user/a.service", "added user unit /run/systemd/user/a.service"),
    ("unit /usr/share/systemd/user/a.service", "added user unit /usr/share/systemd/user/a.service"),
    ("unit /usr/lib/systemd/user/a.service", "added user unit /usr/lib/systemd/user/a.service"),
    ("unit /root/.local/share/systemd/user/a.service", "added user unit /root/.local/share/systemd/user/a.service"),
    (
        "unit /root/.config/systemd/user.control/a.service",
        "added user unit /root/.config/systemd/user.control/a.service",
    ),
    // What runs at boot, at a login, or when something happens.
    ("unit /etc/rc.local", "added startup script /etc/rc.local"),
    ("unit /etc/init.d/later", "added startup script /etc/init.d/later"),
    ("unit /etc/initramfs-tools/hooks/later", "added startup script /etc/initramfs-tools/hooks/later"),
    ("echo : >> /etc/profile", "changed profile /etc/profile"),
    ("unit /etc/profile.d/later.sh", "added profile /etc/profile.d/later.sh"),
    ("echo : >> /root/.bashrc", "changed profile /root/.bashrc"),
    ("unit /home/carol/.zshenv", "added profile /home/carol/.zshenv"),
    ("unit /etc/update-motd.d/99-later", "added profile /etc/update-motd.d/99-later"),
    ("unit /etc/udev/rules.d/99-later.rules", "added system hook /etc/udev/rules.d/99-later.rules"),
    ("unit /run/tmpfiles.d/later.conf", "added system hook /run/tmpfiles.d/later.conf"),
    ("unit /etc/apt/apt.conf.d/99later", "added system hook /etc/apt/apt.conf.d/99later"),
    ("unit /etc/logrotate.d/later", "added system hook /etc/logrotate.d/later"),
    ("unit /etc/sysctl.d/later.conf", "added system hook /etc/sysctl.d/later.conf"),
    // What lets somebody in.
    ("echo alice >> /etc/curfew/exempt", "changed access file /etc/curfew/exempt"),
    (
        "unit /usr/lib/x86_64-linux-gnu/security/pam_later.so",
        "added access file /usr/lib/x86_64-linux-gnu/security/pam_later.so",
    ),
    ("unit /etc/ld.so.conf.d/later.conf", "added access file /etc/ld.so.conf.d/later.conf"),
    ("unit /root/.ssh/rc", "added access file /root/.ssh/rc"),
    ("echo '# later' >> /etc/hosts.allow", "changed access file /etc/hosts.allow"),
    ("echo '# later' >> /etc/ssl/openssl.cnf", "changed access file /etc/ssl/openssl.cnf"),
    (":", "changed access file /usr/lib/ssl/openssl.cnf"),
    ("unit /etc/cron.allow", "added crontab /etc/cron.allow"),
    ("unit /etc/mailcap", "changed system hook /etc/mailcap"),
    // What programs that root starts by hand run.
    ("unit /var/lib/dpkg/info/later.postinst", "added system hook /var/lib/dpkg/info/later.postinst"),
    ("unit /etc/perl/later.pm", "added system hook /etc/perl/later.pm"),
    (
        "unit /usr/local/lib/python3.11/dist-packages/later.pth",
        "added system hook /usr/local/lib/python3.11/dist-packages/later.pth",
    ),
    ("unit /root/.vimrc", "added profile /root/.vimrc"),
    ("unit /root/.config/git/config", "added profile /root/.config/git/config"),
    ("unit /root/.bash_completion", "added profile /root/.bash_completion"),
    // What is added to by packages and extensions of the host.
    ("unit /etc/bash_completion.d/later", "added profile /etc/bash_completion.d/later"),
    ("unit /etc/apt/sources.list.d/later.list", "added system hook /etc/apt/sources.list.d/later.list"),
    ("unit /etc/containers/systemd/later.container", "added system unit /etc/containers/systemd/later.container"),
    ("unit /etc/systemd/system-preset/00-later.preset", "added system unit /etc/systemd/system-preset/00-later.preset"),
    ("unit /var/lib/extensions/later/usr/bin/ls", "added startup script /var/lib/extensions/later/usr/bin/ls"),
    // Programs, and who may exchange them.
    ("unit /usr/local/sbin/later", "added program /usr/local/sbin/later"),
    ("ln -s /home/alice/later /usr/local/bin/later", "added program /usr/local/bin/later (link to /home/alice/later)"),
    ("chown alice /usr/local/sbin", "added open path /usr/local/sbin (mode 755 owner "),
    ("chmod 777 /usr/libexec", "added open path /usr/libexec (mode 777 owner 0:0)"),
    ("unit /etc/polkit-1/rules.d/later.rules", "added access file /etc/polkit-1/rules.d/later.rules"),
    // Wherever a program can give rights.
    ("rootsh /etc/rootsh", "added setuid file /etc/rootsh (mode 4755 owner 0:0)"),
    ("rootsh /rootsh", "added setuid file /rootsh (mode 4755 owner 0:0)"),
    ("rootsh /var/lib/systemd/linger/../../deep/er/rootsh", "added setuid file /var/lib/deep/er/rootsh (mode 4755"),
    ("rootsh /usr/share/doc/rootsh", "added setuid file /usr/share/doc/rootsh (mode 4755"),
    (
        "mkdir -p /mnt/disk && mount -t tmpfs -o suid tmpfs /mnt/disk && rootsh /mnt/disk/rootsh",
        "added setuid file /mnt/disk/rootsh (mode 4755",
    ),
];

fn whatever_starts_code_or_lets_somebody_in_is_named_wherever_it_is(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    // What nobody can look at belongs into the report: a path that is too long.
    let deep = "perl -e 'for (1..40) { mkdir \"d\" x 120; chdir \"d\" x 120 or die }'";
    host.run_as("bob", &format!("cd /home/bob && {deep}")).expect_ok("a deep folder");
    // What some releases bring, and others do not.
    host.ok("mkdir -p /etc/ssl /usr/lib/ssl && touch /etc/hosts.allow /etc/mailcap /etc/ssl/openssl.cnf");
    host.ok("ln -sfn /etc/ssl/openssl.cnf /usr/lib/ssl/openssl.cnf");
    let grant = host.grant("alice --for 25s --login --sudo");
    wait_for_first_look(&host, &grant);
    let helpers = "unit() { mkdir -p $(dirname $1) && echo '[Service]' > $1; }\n\
                   rootsh() { mkdir -p $(dirname $1) && cp /bin/dash $1 && chmod 4755 $1; }\n";
    let script: String = ELSEWHERE.iter().map(|(plant, _)| format!("{plant}\n")).collect();
    host.write("/tmp/plant", format!("umask 022\n{helpers}{script}"));
    host.ssh("alice", "sudo -n bash -e /tmp/plant").expect_ok("planting");
    let reports = found(&host, &grant);
    assert_eq!(reports.len(), 1, "{reports:#?}");
    let expected: Vec<&str> = ELSEWHERE.iter().map(|(_, sentence)| *sentence).collect();
    assert_names(&reports[0], &expected);
    assert_names(&reports[0], &["not looked at, before and after: setuid file /home/bob/ddd"]);
    assert_names(&reports[0], &["not looked at, before and after: device node /home/bob/ddd", "never looked at: "]);
    assert_eq!(said(&reports[0]), ELSEWHERE.len(), "something is named that nobody left: {:#}", reports[0]);
}

/// Waits until the first look at the host is stored for a grant, and was everywhere.
fn wait_for_first_look(host: &Host, grant: &Grant) {
    let stored = format!("/var/lib/curfew/residue/{}", grant.id);
    let whole =
        || host.run(&format!("test -s {stored} && ! grep -q 'before it had looked everywhere' {stored}")).success();
    wait_for("the first look", LOOK, || whole().then_some(()));
}

fn what_is_planted_as_soon_as_sudo_works_is_named_however_full_the_host_is(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    host.ok("mkdir -p /srv/full && cd /srv/full && seq 300 | xargs mkdir && \
             for folder in *; do (cd $folder && seq 150 | xargs touch); done");
    // Each works as soon as the command returns, and what is planted at once is there before anybody could have
    // looked everywhere.
    for round in 1..=8 {
        let plant = format!("/usr/bin/cp --preserve=mode /srv/rootsh /etc/early-{round}");
        host.ok("cp /bin/dash /srv/rootsh && chmod 4755 /srv/rootsh");
        let id = host.ok(&format!(
            "id=$(curfew grant alice --for 60s --sudo --command '{plant}' --command /usr/bin/tee --reason x) && \
             runuser -u alice -- sudo -n {plant} && \
             echo ': early {round}' | runuser -u alice -- sudo -n tee -a /etc/profile >/dev/null && echo $id"
        ));
        // And nothing works any more as soon as this one does.
        host.ok(&format!(
            "curfew revoke {id} --reason x >/dev/null && test ! -e /run/curfew/sudoers.d/{id} && \
             ! runuser -u alice -- sudo -n {plant} 2>/dev/null"
        ));
        wait_for("the end of the second look", Duration::from_secs(60), || {
            (!host.has(&format!("/var/lib/curfew/residue/{id}"))).then_some(())
        });
        let reports = host.audit(&format!("--event residue.found --grant {id}"));
        assert_eq!(reports.len(), 1, "round {round}: {reports:#?}");
        let said = reports[0]["residue"].to_string();
        for what in [format!("setuid file /etc/early-{round} (mode 4755"), "profile /etc/profile".into()] {
            let named =
                ["added ", "changed ", "added or changed "].iter().any(|how| said.contains(&format!("\"{how}{what}")));
            assert!(named, "round {round}: {what} is not in {said}");
        }
        // What was there before is not.
        assert!(!said.contains("/usr/bin/sudo"), "{said}");
        assert!(round == 1 || !said.contains(&format!("early-{}", round - 1)), "{said}");
    }
}

/// Whether the first look at the host is stored for a grant.
fn is_stored(host: &Host, grant: &Grant) -> bool {
    host.has(&format!("/var/lib/curfew/residue/{}", grant.id))
}

/// Waits until the second look is over, and gives what was found.
fn found(host: &Host, grant: &Grant) -> Vec<Value> {
    grant.wait_end();
    wait_for("the end of the second look", LOOK, || (!is_stored(host, grant)).then_some(()));
    host.audit(&format!("--event residue.found --grant {}", grant.id))
}

/// How many changes a report names, and places that the second look alone did not see.
fn said(record: &Value) -> usize {
    let sentences = record["residue"].as_array().into_iter().flatten().filter_map(Value::as_str);
    // On a busy machine the lists are read late, and no report is without what no look sees.
    let of_the_look =
        ["the first look came only when sudo was open", "not looked at, before and after", "never looked at"];
    sentences.filter(|it| !of_the_look.iter().any(|begin| it.starts_with(begin))).count()
}

fn assert_names(record: &Value, begins: &[&str]) {
    let said: Vec<&str> =
        record["residue"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
    for begin in begins {
        assert!(said.iter().any(|sentence| sentence.starts_with(begin)), "{begin} is not in {said:#?}");
    }
}

fn what_root_leaves_behind_is_found_at_the_end_of_sudo(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    host.write("/tmp/plant", PLANT);
    let grant = host.grant("alice --for 15s --login --sudo --command ALL");
    host.drop_in();
    wait_for_first_look(&host, &grant);
    assert_eq!(host.ok(&format!("stat -c '%a %U' /var/lib/curfew/residue/{}", grant.id)), "600 root");
    host.ssh("alice", "sudo -n bash -e /tmp/plant").expect_ok("planting");

    let reports = found(&host, &grant);
    assert_eq!(reports.len(), 1, "{reports:#?}");
    let found = &reports[0];
    assert_names(
        found,
        &[
            "added authorized_keys /root/.ssh/authorized_keys: ssh-ed25519 SHA256:",
            "added crontab /etc/cron.d/later",
            "added sudoers /etc/sudoers.d/later",
            "added setuid file /usr/local/bin/rootsh (mode 4755 owner 0:0)",
            "added setuid file /tmp/rootsh (mode 4755 owner 0:0)",
            "added setuid file /dev/shm/rootsh (mode 4755 owner 0:0)",
            "added setuid file /home/alice/rootsh (mode 4755 owner 0:0)",
            "added setuid file /var/tmp/capable (mode 755 owner 0:0 capabilities 0100000280",
            "changed group sudo (gid 27 members ops alice; before: gid 27 members ops)",
            "added account toor (uid 0 ",
            "added account password of toor",
            "added group toor",
            "added user unit /home/alice/.config/systemd/user/later.service",
            "added system unit /etc/systemd/system/later.service",
            "added linger /var/lib/systemd/linger/carol",
            "added transient unit /run/systemd/transient/later-run.service",
            "added transient unit /run/systemd/transient/later-run.timer",
            "changed access file /etc/pam.d/su",
            "added access file /etc/ld.so.preload",
            "changed access file /etc/gshadow",
            "changed access file /etc/subuid",
            "changed access file /etc/subgid",
            "added program /usr/local/bin/rootsh",
        ],
    );
    assert_eq!(said(found), 23, "something is named that nobody left: {found:#}");
    assert!(found["residue"].to_string().contains("carol for-later"), "{found:#}");
    assert_eq!((&found["user"], &found["approved_by"][0]), (&"alice".into(), &"root".into()), "{found:#}");
    let message = found["message"].as_str().unwrap_or_default();
    assert!(
        message
            .ends_with(&format!(" more: curfew audit --grant {} --json.", found["grant"].as_str().unwrap_or_default())),
        "{message}"
    );
    // What makes root of somebody at once is in the sentence, whatever else there is.
    assert!(message.contains("changed: added sudoers /etc/sudoers.d/later"), "{message}");
    let journal = wait_for("the record in the journal", SOON, || {
        host.journal("_SYSTEMD_UNIT=curfewd.service CURFEW_EVENT=residue.found").pop()
    });
    assert!(journal["CURFEW_RESIDUE"].as_str().is_some_and(|it| it.contains("/etc/sudoers.d/later")), "{journal:#}");
    assert_eq!(journal["PRIORITY"], "5");
    let looks = host.journal("_SYSTEMD_UNIT=curfewd.service").into_iter().filter_map(|entry| {
        entry["TOOK"]
            .as_str()
            .filter(|_| entry["MESSAGE"].to_string().contains("looked at for residue"))
            .map(str::to_owned)
    });
    let looks: Vec<String> = looks.collect();
    assert_eq!(looks.len(), 3, "the lists, the walk, and both again: {looks:?}");
    let entries = host.ok("find /usr /opt /root /srv /tmp /var/tmp /dev/shm /home -xdev | wc -l");
    report(&format!("{release}: a look at the host, with {entries} entries, took {}", looks.join(", then ")));
}

fn a_flood_of_harmless_files_hides_nothing(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    let grant = host.grant("alice --for 25s --login --sudo");
    wait_for_first_look(&host, &grant);
    host.write(
        "/tmp/plant",
        "umask 022; mkdir -p /etc/cron.d /opt/copies
         for number in $(seq 300); do echo '# nothing' > /etc/cron.d/a-$number; done; echo '# more' > /etc/cron.d/zz-backdoor
         for number in $(seq 150); do cp /bin/dash /opt/copies/$number; chmod 2755 /opt/copies/$number; done
         cp /bin/dash /opt/zz-rootshell; chmod 4755 /opt/zz-rootshell\n",
    );
    host.ssh("alice", "sudo -n bash -e /tmp/plant").expect_ok("planting");
    let reports = found(&host, &grant);
    for (record, number) in reports.iter().zip(1..) {
        assert_eq!(record["residue"][0], format!("part {number} of {}", reports.len()));
    }
    assert_eq!(reports.iter().map(|record| said(record) - 1).sum::<usize>(), 452, "{reports:#?}");
    let first = &reports[0]["residue"][1];
    assert!(
        first.as_str().is_some_and(|it| it.starts_with("added setuid file /opt/zz-rootshell (mode 4755")),
        "{first}"
    );
    assert!(
        reports.iter().any(|record| record["residue"].to_string().contains("added crontab /etc/cron.d/zz-backdoor"))
    );
}

fn a_grant_that_leaves_nothing_behind_gets_no_report(release: Release) {
    let host = Host::boot(release);
    let login = host.grant("bob --for 60s --login");
    let grant = host.grant("alice --for 8s --login --sudo --command ALL");
    host.drop_in();
    let mut shell = host.login("alice");
    shell.become_root();
    shell.run("crontab -l; passwd --status alice; ls -R /etc/systemd >/dev/null; date > /root/notes");
    // Other people come and go meanwhile.
    assert_eq!(host.ssh("bob", "id -un").expect_ok("a login"), "bob");
    let _bob = host.login("bob");
    wait_for_first_look(&host, &grant);
    assert!(is_stored(&host, &grant) && !is_stored(&host, &login));
    assert_eq!(found(&host, &grant), Vec::<Value>::new());
    assert!(!host.ok("journalctl --no-pager -u curfewd").contains("does not cover"), "a part was not looked at");
}

fn a_fifo_and_a_loop_do_not_hold_up_the_report(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    host.ok(
        "mkdir -p /home/bob/many && cd /home/bob/many && seq 5000 | xargs touch && ln -s . self && ln -s /proc proc",
    );
    let grant = host.grant("alice --for 12s --login --sudo --command ALL");
    host.drop_in();
    wait_for_first_look(&host, &grant);
    let plant = "cd /root/.ssh && mv authorized_keys old && mkfifo authorized_keys && ln -s loop authorized_keys2 \
                 && ln -s authorized_keys2 loop && mkdir -p /etc/cron.d && ln -s loop /etc/cron.d/loop && mkfifo /etc/cron.d/fifo /tmp/fifo \
                 && mkdir -p /tmp/deep && cd /tmp/deep && ln -s .. up && ln -s /dev/zero /etc/sudoers.d/zero \
                 && mkdir -p /srv/proc && mount -t proc proc /srv/proc && mount -t tmpfs tmpfs /srv && chmod 4755 -R /tmp/deep \
                 && cp /bin/dash /home/bob/many/sh && chmod 6755 /home/bob/many/sh";
    host.ssh("alice", &format!("sudo -n bash -ec '{plant}'")).expect_ok("planting");
    grant.wait_end();
    let begun = std::time::Instant::now();
    let reports = found(&host, &grant);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(reports.len(), 1, "{reports:#?}");
    assert_names(
        &reports[0],
        &[
            "added authorized_keys /root/.ssh/authorized_keys (no regular file",
            "added authorized_keys /root/.ssh/authorized_keys2 (link to loop)",
            "removed authorized_keys /root/.ssh/authorized_keys: ssh-ed25519",
            "added crontab /etc/cron.d/fifo (no regular file",
            "added crontab /etc/cron.d/loop (link to loop)",
            "added sudoers /etc/sudoers.d/zero (link to /dev/zero)",
            "added setuid file /home/bob/many/sh (mode 6755",
        ],
    );
    assert_eq!(host.ssh("alice", "id").status, 255, "the grant is over");
    assert_eq!(host.ok("systemctl show --value --property=NRestarts curfewd"), "0");
}

fn the_report_comes_also_when_the_agent_was_restarted_in_between(release: Release) {
    let mut host = Host::builder(release).config("grace = \"0s\"").boot();
    let killed = host.grant("alice --for 10s --login --sudo --command ALL");
    let away = host.grant("bob --for 12s --login --sudo --command ALL");
    wait_for("both drop-ins", SOON, || (host.drop_ins().len() == 2).then_some(()));
    wait_for_first_look(&host, &away);
    host.ssh("alice", "sudo -n touch /var/lib/systemd/linger/carol").expect_ok("planting");
    host.ok("systemctl kill --signal=KILL --kill-whom=main curfewd");
    let reports = found(&host, &killed);
    assert_eq!(reports.len(), 1, "{reports:#?}");
    assert_names(&reports[0], &["added linger /var/lib/systemd/linger/carol"]);
    assert_eq!(reports[0]["user"], "alice");

    // The second ends while there is no agent, and after a boot at that.
    assert!(is_stored(&host, &away));
    host.power_cycle();
    assert_eq!(found(&host, &away).len(), 1);
    assert_eq!(host.audit("--event residue.found").len(), 2);

    // Switched off, nothing is looked at.
    host.reconfigure("residue_report = false");
    let unwatched = host.grant("carol --for 4s --login --sudo --command ALL");
    host.drop_in();
    assert!(!is_stored(&host, &unwatched));
}

fn a_first_look_that_came_late_or_was_spoiled_is_said_in_the_report(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    let late = host.grant("alice --for 10s --login --sudo --command ALL");
    let spoiled = host.grant("bob --for 10s --login --sudo --command ALL");
    wait_for("both drop-ins", SOON, || (host.drop_ins().len() == 2).then_some(()));
    wait_for_first_look(&host, &spoiled);
    let place = format!("/var/lib/curfew/residue/{}", late.id);
    host.ok(&format!("rm {place} && echo '{{' > /var/lib/curfew/residue/{}", spoiled.id));
    host.ok("systemctl reload curfewd");
    wait_for("the look that was missing", LOOK, || is_stored(&host, &late).then_some(()));
    host.ok("touch /var/lib/systemd/linger/carol");
    let reports = found(&host, &late);
    assert_eq!(reports.len(), 1, "{reports:#?}");
    assert_names(
        &reports[0],
        &["added linger /var/lib/systemd/linger/carol", "the first look came only when sudo was open"],
    );
    assert_names(&found(&host, &spoiled)[0], &["the first look can't be read"]);
}
