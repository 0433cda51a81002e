//! The packages that `packaging/build` made, and what is in them: where files go, what the programs are made of, what the PAM module
//! shows to sshd. What the packages do on a host, whole hosts test.

mod packages {
    mod contents;
    mod dependencies;
    mod module;
}
