//! What is looked at in people's homes, and in the folders of their service managers.

use crate::residue::kind::Kind;

/// Lists of keys in each home.
pub const LISTS_OF_KEYS: [&str; 2] = [".ssh/authorized_keys", ".ssh/authorized_keys2"];

/// Places in each home.
pub const OF_A_HOME: &[(Kind, &[&str])] = &[
    (
        Kind::UserUnit,
        &[
            ".config/systemd/user",
            ".config/systemd/user.control",
            ".config/systemd/user.conf",
            ".config/systemd/user-generators",
            ".config/containers/systemd",
            ".local/share/systemd/user",
            ".config/autostart",
        ],
    ),
    (
        Kind::Profile,
        &[
            ".profile",
            ".bashrc",
            ".bash_profile",
            ".bash_login",
            ".bash_logout",
            ".bash_aliases",
            ".inputrc",
            ".zshenv",
            ".zprofile",
            ".zshrc",
            ".zlogin",
            ".zlogout",
            ".cshrc",
            ".tcshrc",
            ".login",
            ".kshrc",
            ".pam_environment",
            ".config/environment.d",
            ".config/fish",
            ".xprofile",
            ".xsession",
            ".xsessionrc",
            ".xinitrc",
            ".bash_completion",
            // What runs commands in programs that people and root start by hand.
            ".vimrc",
            ".vim/vimrc",
            ".gitconfig",
            ".config/git/config",
            ".tmux.conf",
            ".config/tmux/tmux.conf",
            ".screenrc",
            ".gdbinit",
            ".config/gdb/gdbinit",
            ".lessfilter",
            ".nanorc",
            ".config/nano/nanorc",
        ],
    ),
    (
        Kind::AccessFile,
        &[
            ".ssh/rc",
            ".ssh/environment",
            ".ssh/config",
            ".rhosts",
            ".shosts",
            ".k5login",
            ".k5users",
            ".forward",
            ".procmailrc",
        ],
    ),
];

/// Places in each `/run/user/UID`.
pub const OF_A_RUNTIME_FOLDER: &[(Kind, &[&str])] = &[
    (
        Kind::UserUnit,
        &[
            "systemd/user.control",
            "systemd/user",
            "systemd/generator.early",
            "systemd/generator",
            "systemd/generator.late",
        ],
    ),
    (Kind::TransientUnit, &["systemd/transient"]),
];
