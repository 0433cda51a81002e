//! Programs that give whoever may run them as root all of root: by a shell that they start, or by what they write.
//!
//! A warning, no lock: a program that is not in the table can do the same.

/// When a program gives more than its name says.
#[derive(Clone, Copy, PartialEq)]
enum Gives {
    /// Whatever its arguments are.
    Always,
    /// Where the person chooses the arguments.
    ByArguments,
}

/// What each kind does, when, and its programs. A version behind a name (`python3.11`, `vim.basic`) is none of it.
const TABLE: &[(&str, Gives, &[&str])] = &[
    (
        "is a shell",
        Gives::ByArguments,
        &["ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "mksh", "rbash", "sh", "tcsh", "zsh"],
    ),
    (
        "runs any program",
        Gives::ByArguments,
        &[
            "at",
            "awk",
            "batch",
            "chroot",
            "crontab",
            "env",
            "expect",
            "find",
            "flock",
            "gawk",
            "gdb",
            "git",
            "lua",
            "mawk",
            "nice",
            "node",
            "nohup",
            "nsenter",
            "parallel",
            "perl",
            "php",
            "python",
            "ruby",
            "script",
            "setpriv",
            "setsid",
            "start-stop-daemon",
            "stdbuf",
            "strace",
            "systemd-run",
            "taskset",
            "tclsh",
            "time",
            "timeout",
            "unshare",
            "watch",
            "xargs",
        ],
    ),
    (
        "is an editor, which starts a shell and writes any file",
        Gives::Always,
        &[
            "ed", "emacs", "ex", "joe", "mcedit", "micro", "nano", "nvim", "pico", "rview", "rvim", "vi", "view",
            "vigr", "vim", "vimdiff", "vipw", "visudo",
        ],
    ),
    ("is a pager, which starts a shell", Gives::Always, &["less", "man", "more", "most", "pg"]),
    (
        "starts a shell as somebody else",
        Gives::Always,
        &["doas", "login", "machinectl", "pkexec", "run0", "runuser", "screen", "su", "sudo", "sudoedit", "tmux"],
    ),
    (
        "starts containers, which reach the whole host",
        Gives::ByArguments,
        &["containerd", "crictl", "ctr", "docker", "kubectl", "lxc", "nerdctl", "podman"],
    ),
    (
        "installs packages, whose scripts run as root",
        Gives::ByArguments,
        &["apt", "apt-get", "dnf", "dpkg", "flatpak", "pip", "rpm", "snap", "yum"],
    ),
    (
        "writes any file",
        Gives::ByArguments,
        &[
            "chmod", "chown", "cp", "dd", "gpasswd", "install", "ln", "mount", "mv", "passwd", "rsync", "sed",
            "setcap", "setfacl", "tar", "tee", "unzip", "useradd", "usermod",
        ],
    ),
    ("edits units, which run anything as root", Gives::ByArguments, &["systemctl"]),
    ("grants access on this host", Gives::ByArguments, &["curfew"]),
];

/// What else a program gives, in one sentence; `arguments` are those that the grant fixes.
pub fn warning(program: &str, arguments: Option<&str>) -> Option<String> {
    let stem = program.split('.').next().unwrap_or(program);
    let name = stem.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    let is_it = |names: &[&str]| names.contains(&name) || names.contains(&stem);
    let (what, gives, _) = TABLE.iter().find(|(.., names)| is_it(names))?;
    let edits = name == "systemctl" && arguments.is_some_and(|it| it.split(' ').any(|word| word == "edit"));
    let wide = arguments.is_none() || *gives == Gives::Always || edits;
    let narrow =
        if *gives == Gives::ByArguments && !edits { "; name the arguments, too, to allow these alone" } else { "" };
    wide.then(|| format!("it {what}, so it gives all that the user has as whom it runs{narrow}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gives_a_shell_is_told_by_whatever_version_it_has() {
        for program in [
            "bash",
            "python3.11",
            "vim.basic",
            "perl5.36",
            "run0",
            "su",
            "docker",
            "less",
            "curfew",
            "mksh",
            "systemctl",
        ] {
            assert!(warning(program, None).is_some(), "{program}");
        }
        for program in ["id", "nginx", "journal", "shred", "su-exec-not", "runc-list", "lessen", "run"] {
            assert_eq!(warning(program, None), None, "{program}");
        }
    }

    #[test]
    fn fixed_arguments_leave_a_warning_only_for_what_takes_commands_while_it_runs() {
        assert!(warning("vim", Some("/etc/motd")).is_some());
        assert!(warning("systemctl", Some("edit nginx")).is_some());
        assert_eq!(warning("systemctl", Some("restart nginx")), None);
        assert_eq!(warning("bash", Some("/opt/backup")), None);
    }
}
