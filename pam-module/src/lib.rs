//! `pam_curfew.so`: asks the agent whether this login or this sudo is permitted now, and never decides itself.
//!
//! The hooks here hand over to `hook`, which reads PAM's items, looks into the exempt list and asks the agent.
//! It is loaded into sshd and sudo: no threads, no environment, no panic that leaves a hook, no wait beyond its deadline.

mod behind;
mod hook;
mod invoker;
mod syslog;

use curfew_protocol::ipc::Hook;
use pam::constants::{PamFlag, PamResultCode};
use pam::module::{PamHandle, PamHooks};
use std::ffi::CStr;

struct Curfew;

/// The C entry points, pam_sm_acct_mgmt(3) and its siblings: the only unsafe code, written by pam-bindings.
#[allow(missing_docs, unsafe_code)]
mod entry_points {
    use super::Curfew;
    pam::pam_hooks!(Curfew);
}

impl PamHooks for Curfew {
    fn acct_mgmt(pamh: &mut PamHandle, arguments: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        hook::run(Hook::Account, pamh, &arguments, flags)
    }

    fn sm_open_session(pamh: &mut PamHandle, arguments: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        hook::run(Hook::OpenSession, pamh, &arguments, flags)
    }

    /// The agent learns of a session's end from the kernel, which no signal can skip.
    fn sm_close_session(_: &mut PamHandle, _: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        PamResultCode::PAM_SUCCESS
    }

    /// Curfew proves nobody's identity: in an auth stack it denies an elevation before a password is asked for, or has no say.
    fn sm_authenticate(pamh: &mut PamHandle, arguments: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        hook::run_before_password(pamh, &arguments, flags)
    }

    fn sm_setcred(_: &mut PamHandle, _: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        PamResultCode::PAM_IGNORE
    }

    fn sm_chauthtok(_: &mut PamHandle, _: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        PamResultCode::PAM_IGNORE
    }
}
