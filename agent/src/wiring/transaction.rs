//! One PAM transaction, opened as sshd and sudo open theirs (pam_start(3), pam_authenticate(3), pam_acct_mgmt(3), pam_open_session(3)).
//!
//! One of the three files with unsafe code: no crate opens sessions from an application's side. It asks nothing of anybody: a module that wants
//! an answer is refused one.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;

/// A code of PAM, as `<security/_pam_types.h>` numbers them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct Code(pub i32);

impl Code {
    /// PAM_SUCCESS.
    pub const SUCCESS: Self = Self(0);
    /// PAM_PERM_DENIED.
    pub const PERM_DENIED: Self = Self(6);
    /// PAM_CRED_INSUFFICIENT.
    pub const CRED_INSUFFICIENT: Self = Self(8);
    /// PAM_BUF_ERR: what was asked can't be put into words.
    const BUF_ERR: Self = Self(5);
    /// PAM_CONV_ERR.
    const CONV_ERR: Self = Self(19);

    /// What PAM calls it.
    #[allow(unsafe_code)]
    pub fn text(self) -> String {
        // SAFETY: pam_strerror(3) reads no handle in Linux-PAM and returns a constant text, or null.
        let text = unsafe { pam_strerror(ptr::null_mut(), self.0) };
        if text.is_null() {
            return format!("code {}", self.0);
        }
        // SAFETY: it is not null, ends with a NUL, and is never freed.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }
}

/// What a service says of the person before it asks.
#[derive(Clone, Copy, Debug)]
pub enum Item {
    /// PAM_TTY.
    Tty = 3,
    /// PAM_RHOST: where they come from.
    Rhost = 4,
    /// PAM_RUSER: who they were before.
    Ruser = 8,
}

/// PAM_SILENT: no module says anything.
const SILENT: c_int = 0x8000;

/// pam_handle_t, which only PAM looks into.
#[repr(C)]
struct Handle {
    _opaque: [u8; 0],
}

/// struct pam_conv, pam_conv(3).
#[repr(C)]
struct Conversation {
    converse: extern "C" fn(c_int, *const *const c_void, *mut *mut c_void, *mut c_void) -> c_int,
    data: *mut c_void,
}

#[allow(unsafe_code)]
#[link(name = "pam")]
unsafe extern "C" {
    fn pam_start(
        service: *const c_char,
        user: *const c_char,
        conversation: *const Conversation,
        handle: *mut *mut Handle,
    ) -> c_int;
    fn pam_set_item(handle: *mut Handle, item: c_int, value: *const c_void) -> c_int;
    fn pam_authenticate(handle: *mut Handle, flags: c_int) -> c_int;
    fn pam_acct_mgmt(handle: *mut Handle, flags: c_int) -> c_int;
    fn pam_open_session(handle: *mut Handle, flags: c_int) -> c_int;
    fn pam_close_session(handle: *mut Handle, flags: c_int) -> c_int;
    fn pam_end(handle: *mut Handle, status: c_int) -> c_int;
    fn pam_strerror(handle: *mut Handle, code: c_int) -> *const c_char;
}

/// Answers nothing.
extern "C" fn refuse(_: c_int, _: *const *const c_void, _: *mut *mut c_void, _: *mut c_void) -> c_int {
    Code::CONV_ERR.0
}

static NO_CONVERSATION: &Shared = &Shared(Conversation { converse: refuse, data: ptr::null_mut() });

struct Shared(Conversation);

// SAFETY: nothing writes to it, and its only pointer is null.
#[allow(unsafe_code)]
unsafe impl Sync for Shared {}

/// A transaction; it ends when it is dropped.
pub struct Transaction {
    handle: *mut Handle,
    last: Code,
}

#[allow(unsafe_code)]
impl Transaction {
    /// Begins one of `service` for `user`.
    ///
    /// # Errors
    ///
    /// PAM's code: the service's file can't be read, or a name holds a NUL.
    pub fn begin(service: &str, user: &str) -> Result<Self, Code> {
        let (service, user) = (c_string(service)?, c_string(user)?);
        let mut handle = ptr::null_mut();
        // SAFETY: both texts and the conversation outlive the call, which copies them; `handle` is written only by it.
        let code =
            Code(unsafe { pam_start(service.as_ptr(), user.as_ptr(), &raw const NO_CONVERSATION.0, &raw mut handle) });
        if code == Code::SUCCESS && !handle.is_null() { Ok(Self { handle, last: code }) } else { Err(code) }
    }

    /// Says something of the person.
    ///
    /// # Errors
    ///
    /// PAM's code.
    pub fn set(&mut self, item: Item, value: &str) -> Result<(), Code> {
        let value = c_string(value)?;
        // SAFETY: the handle is from pam_start(3) and not ended yet; PAM copies the text.
        self.check(|handle| unsafe { pam_set_item(handle, item as c_int, value.as_ptr().cast()) })
    }

    /// Whether the person is who they say they are, as far as that takes no answer of theirs.
    ///
    /// # Errors
    ///
    /// PAM's code.
    pub fn authenticate(&mut self) -> Result<(), Code> {
        // SAFETY: as in `account`.
        self.check(|handle| unsafe { pam_authenticate(handle, SILENT) })
    }

    /// Whether the person may in now.
    ///
    /// # Errors
    ///
    /// PAM's code.
    pub fn account(&mut self) -> Result<(), Code> {
        // SAFETY: the handle is from pam_start(3) and not ended yet.
        self.check(|handle| unsafe { pam_acct_mgmt(handle, SILENT) })
    }

    /// Opens a session, and closes it.
    ///
    /// # Errors
    ///
    /// PAM's code.
    pub fn session(&mut self) -> Result<(), Code> {
        // SAFETY: as in `account`.
        self.check(|handle| unsafe { pam_open_session(handle, SILENT) })?;
        // SAFETY: as in `account`.
        self.check(|handle| unsafe { pam_close_session(handle, SILENT) })
    }

    fn check(&mut self, ask: impl FnOnce(*mut Handle) -> c_int) -> Result<(), Code> {
        self.last = Code(ask(self.handle));
        if self.last == Code::SUCCESS { Ok(()) } else { Err(self.last) }
    }
}

impl Drop for Transaction {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: the handle is from pam_start(3), and nothing uses it afterwards.
        unsafe { pam_end(self.handle, self.last.0) };
    }
}

fn c_string(text: &str) -> Result<CString, Code> {
    CString::new(text).map_err(|_| Code::BUF_ERR)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_the_words_of_pam() {
        assert_eq!(Code::SUCCESS.text(), "Success");
        assert_eq!(Code::PERM_DENIED.text(), "Permission denied");
    }

    #[test]
    fn a_name_with_a_nul_begins_nothing() {
        assert!(Transaction::begin("sshd", "ro\0ot").is_err());
    }
}
