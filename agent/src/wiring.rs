//! The wiring: marked lines in PAM's service files and in sudoers, which `curfew enable` puts in and `curfew disable` takes out.
//!
//! Our account line stands first in the file, so that nothing before it can let somebody in. A file that is unwired is, to the
//! byte, what it was. Installing the package wires nothing. A service whose file the distribution keeps in [`VENDOR_FOLDER`] alone gets a
//! copy with our lines in [`PAM_FOLDER`], which goes with them.
//!
//! | part | what |
//! |---|---|
//! | `lines` | a service file's lines, as PAM takes them |
//! | `marks` | a service file's text, with our lines and without |
//! | `kind`, `service_file` | who is judged in a service, and its file |
//! | `replace_file` | files replaced and removed durably |
//! | `vendor_copy` | copies of files that the distribution keeps elsewhere |
//! | `cause` | whose a change is, for the audit |
//! | `unwired` | services in which PAM does not ask us |
//! | `stack` | reads a service's rules: is our line the first to be asked? |
//! | `session_order` | reads its session rules: is our line reached? |
//! | `transaction`, `rehearsal` | real PAM transactions against what is wired |
//! | `replacement` | what a change writes, file by file, and the way back |
//! | `lock` | one change at a time |
//! | `unconfirmed` | the way back that PID 1 takes, unless a new login confirms |
//! | `access_paths` | what lets people in beside what is wired |

pub mod access_paths;
pub mod cause;
pub mod kind;
mod lines;
pub mod lock;
pub mod marks;
pub mod rehearsal;
pub mod replace_file;
pub mod replacement;
pub mod service_file;
pub mod session_order;
pub mod stack;
pub mod transaction;
pub mod unconfirmed;
pub mod unwired;
mod vendor_copy;

use self::kind::Kind;
use crate::config::Config;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Where PAM's service files are.
pub const PAM_FOLDER: &str = "/etc/pam.d";

/// Where some distributions keep the files that nobody has changed.
pub const VENDOR_FOLDER: &str = "/usr/lib/pam.d";

/// The file that makes sudo read our drop-ins.
pub const SUDOERS_INCLUDE: &str = "/etc/sudoers.d/curfew";

/// What it holds.
pub const SUDOERS_LINE: &str = "@includedir /run/curfew/sudoers.d\n";

/// Where the drop-ins are.
pub const DROP_IN_FOLDER: &str = "/run/curfew/sudoers.d";

/// The services of the configuration, with who is judged in each.
pub fn services(config: &Config) -> impl Iterator<Item = (String, Kind)> {
    let of =
        |services: &[String], kind| services.iter().map(move |service| (service.clone(), kind)).collect::<Vec<_>>();
    let logins = of(&config.login_services, Kind::Login);
    let elevations = of(&config.elevation_services, Kind::Elevation);
    let background = of(&config.background_services, Kind::Login);
    logins.into_iter().chain(elevations).chain(background)
}

/// Whether sudoers has our include.
pub fn is_included() -> bool {
    Path::new(SUDOERS_INCLUDE).exists()
}

/// Makes the drop-ins' folder where it is gone: without it, sudo-rs complains at everybody's sudo.
///
/// # Errors
///
/// What mkdir(2) says.
pub fn make_drop_in_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir(folder)?;
    // Whatever the umask says.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o750))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_made_again_for_root_and_its_group() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("sudoers.d");
        make_drop_in_folder(&folder).unwrap();
        make_drop_in_folder(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o7777, 0o750);
    }
}
