//! Watches over the files that make a host's sudo (inotify(7)): when one of them is exchanged, the enforcing loop looks
//! at once, and rules for another sudo go.

use crate::descriptors;
use crate::grant::ledger::Ledger;
use crate::host::sudo::SUDO;
use crate::trigger::Trigger;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

/// Where sudo, visudo and the links to them are, and our drop-ins' folder.
const FOLDERS: [&str; 4] = ["/usr/bin", "/usr/sbin", "/etc/alternatives", "/run/curfew"];

/// How long after a failure the watch begins anew. Each look of the enforcing loop compares, too.
const PAUSE: Duration = Duration::from_secs(60);

/// Has rules removed and written anew whenever sudo changes, for as long as the agent runs.
pub async fn follow(ledger: &Ledger, trigger: &Trigger) {
    loop {
        if let Err(error) = watch(ledger, trigger).await {
            tracing::error!("a change of sudo is not seen at once: {error}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn watch(ledger: &Ledger, trigger: &Trigger) -> io::Result<()> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    let readable = descriptors::wait_on(inotify.as_fd().try_clone_to_owned()?)?;
    loop {
        // What is watched already stays watched; sudo may point to another folder since the last event.
        let target = Path::new(SUDO).canonicalize().ok();
        let folders = FOLDERS.iter().map(Path::new).chain(target.as_deref().and_then(Path::parent));
        folders.into_iter().try_for_each(|folder| add(&inotify, folder))?;
        let target = target.as_deref().and_then(Path::file_name);
        loop {
            let mut guard = readable.readable().await?;
            let concerns_us = read(&inotify, target)?;
            guard.clear_ready();
            if concerns_us {
                break;
            }
        }
        ledger.sudo_rules.try_again();
        trigger.pull();
    }
}

fn add(inotify: &Inotify, folder: &Path) -> io::Result<()> {
    let events = AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_MOVE
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_ATTRIB;
    match inotify.add_watch(folder, events) {
        Ok(_) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Reads all that happened; whether some of it concerns sudo, which is a link to the file `target` perhaps.
fn read(inotify: &Inotify, target: Option<&OsStr>) -> io::Result<bool> {
    let mut concerns_us = false;
    loop {
        match inotify.read_events() {
            Ok(events) => concerns_us |= events.iter().any(|event| concerns(event.mask, event.name.as_deref(), target)),
            Err(Errno::EAGAIN) => return Ok(concerns_us),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn concerns(what: AddWatchFlags, name: Option<&OsStr>, target: Option<&OsStr>) -> bool {
    // Too much happened to be told one by one, or a folder is gone.
    let lost = what.intersects(AddWatchFlags::IN_Q_OVERFLOW | AddWatchFlags::IN_IGNORED);
    let ours = |name: &OsStr| {
        let bytes = name.as_encoded_bytes();
        bytes.starts_with(b"sudo") || bytes.starts_with(b"visudo") || Some(name) == target
    };
    lost || name.is_some_and(ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_to_do_with_sudo_is_looked_at() {
        let moved = AddWatchFlags::IN_MOVED_TO;
        for name in ["sudo", "sudo.ws", "sudo-rs", "sudoers.d", "visudo", "visudo-rs", "root-tool"] {
            assert!(concerns(moved, Some(OsStr::new(name)), Some(OsStr::new("root-tool"))), "{name}");
        }
        assert!(!concerns(moved, Some(OsStr::new("su")), Some(OsStr::new("root-tool"))));
        assert!(!concerns(moved, None, None));
        assert!(concerns(AddWatchFlags::IN_Q_OVERFLOW, None, None));
    }
}
