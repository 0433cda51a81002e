//! The peers of an account check, set up in a host: a PAM configuration folder for each, and what stands
//! behind it.

use std::time::Duration;

use curfew_tests::{Host, wait_for};

/// Where the host keeps what the benchmark brings.
pub const FOLDER: &str = "/opt/curfew-bench";
/// The peer that all others are measured against.
pub const FLOOR: &str = "floor";
/// The peer that this is about.
pub const CURFEW: &str = "pam_curfew";

/// One way to answer an account check.
pub struct Peer {
    /// What the report calls it.
    pub name: &'static str,
    /// The module and its arguments in the one line of its PAM configuration.
    module: &'static str,
    /// Samples a round: fewer where one takes milliseconds.
    pub samples: usize,
}

/// All of them, in the order of the report.
pub const PEERS: [Peer; 7] = [
    Peer { name: "pam_permit", module: "pam_permit.so", samples: 100 },
    Peer { name: "pam_access", module: "pam_access.so", samples: 100 },
    Peer { name: "pam_unix", module: "pam_unix.so", samples: 100 },
    Peer { name: FLOOR, module: "/opt/curfew-bench/pam_floor.so /run/curfew-bench.sock", samples: 100 },
    Peer { name: CURFEW, module: "pam_curfew.so", samples: 100 },
    Peer { name: "pam_sss", module: "pam_sss.so", samples: 30 },
    Peer { name: "pam_exec", module: "pam_exec.so quiet /bin/true", samples: 20 },
];

/// A domain of the host's own files, with the simple access provider: SSSD at its lightest.
const SSSD: &str = "[sssd]
services = nss, pam
domains = files
[domain/files]
id_provider = files
access_provider = simple
simple_allow_users = ";

/// Makes every peer answer in `host`; each permits `user`.
pub fn install(host: &Host, user: &str) {
    host.ok(&format!("mkdir -p {FOLDER}/pam"));
    host.compile("pam_client.c", &format!("{FOLDER}/pam_client"), &["-lpam"]);
    host.compile("echo_server.c", &format!("{FOLDER}/echo_server"), &[]);
    host.compile("question_client.c", &format!("{FOLDER}/question_client"), &[]);
    host.compile("crowd.c", &format!("{FOLDER}/crowd"), &[]);
    // Kept mapped as pam_curfew.so is: in one process, neither is loaded again for each transaction.
    let floor = &["-shared", "-fPIC", "-Wl,-z,nodelete", "-lpam"];
    host.compile("pam_floor.c", &format!("{FOLDER}/pam_floor.so"), floor);
    for Peer { name, module, .. } in &PEERS {
        // Without `other`, libpam would write a complaint to the log in every transaction.
        let folder = format!("{FOLDER}/pam/{name}");
        host.ok(&format!("mkdir {folder} && echo 'account required {module}' >{folder}/sshd && : >{folder}/other"));
    }
    host.ok(&format!("systemd-run --quiet --unit=curfew-bench-floor {FOLDER}/echo_server /run/curfew-bench.sock"));
    start_sssd(host, user);
}

/// The package wires SSSD into the distribution's own PAM stacks and name services. That is undone, so that only
/// its own configuration folder asks it.
fn start_sssd(host: &Host, user: &str) {
    host.ok("pam-auth-update --package --remove sss && sed -i 's/ sss\\b//' /etc/nsswitch.conf");
    host.write("/etc/sssd/sssd.conf", format!("{SSSD}{user}\n"));
    host.ok("chmod 600 /etc/sssd/sssd.conf && systemctl start sssd.service");
    wait_for("SSSD to answer for the user", Duration::from_secs(20), || {
        host.run(&format!("getent --service=sss passwd {user}")).success().then_some(())
    });
}
