//! Memory that is free, and given back to the system.

/// Gives back what the allocator holds for nobody.
///
/// Opening thousands of sessions leaves free pieces between what they keep: measured, 230 bytes a session of 10,000,
/// and 400 more of the database's cache. glibc gives only the end of its heap back by itself. It takes some
/// milliseconds, and is for idle times. Other allocators look after themselves.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(
        unsafe_code,
        reason = "a function of the C library without arguments that could be wrong"
    )]
    // SAFETY: it may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
