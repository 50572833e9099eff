//! Many writes in one call of the system.
//!
//! A write to a socket of its own costs a call of the system each. io_uring takes a row of them in one.
//! Where the kernel has none, or a container forbids it, there is nothing here.

#![expect(
    unsafe_code,
    reason = "the kernel is given addresses: see `Ring::write`"
)]

use std::{cell::RefCell, io, mem, net::Shutdown, os::fd::AsRawFd};

use bytes::Bytes;
use io_uring::{IoUring, opcode::Send, types::Fd};
use socket2::SockRef;

use super::Line;

/// Writes in a call.
const ENTRIES: u32 = 128;
/// Fewer writes are not worth it.
const FEW: usize = 3;

thread_local! {
    static RING: RefCell<Option<Ring>> = RefCell::new(Ring::new());
}

/// A thread's way to the kernel.
struct Ring(IoUring);

/// See [`Line::write_each`]; `None` where that is not to be had.
pub(super) fn write_each(buffers: &[(&Line, &Bytes)]) -> Option<Vec<usize>> {
    if buffers.len() < FEW {
        return None;
    }
    RING.with_borrow_mut(|slot| {
        let ring = slot.as_mut()?;
        let mut written = vec![0; buffers.len()];
        let chunks = buffers.chunks(ENTRIES as usize);
        for (buffers, written) in chunks.zip(written.chunks_mut(ENTRIES as usize)) {
            if let Err(error) = ring.write(buffers, written) {
                tracing::warn!(%error, "io_uring failed: from here on this thread writes without it");
                mem::forget(slot.take());
                break;
            }
        }
        Some(written)
    })
}

impl Ring {
    fn new() -> Option<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_coop_taskrun()
            .build(ENTRIES);
        ring.map(Self).ok()
    }

    /// Writes up to [`ENTRIES`] buffers. After an error some may be under way still.
    fn write(&mut self, buffers: &[(&Line, &Bytes)], written: &mut [usize]) -> io::Result<()> {
        let mut queue = self.0.submission();
        for (index, (line, bytes)) in buffers.iter().enumerate() {
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let send = Send::new(Fd(line.0.stream.as_raw_fd()), bytes.as_ptr(), length)
                .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
                .build()
                .user_data(index as u64);
            // SAFETY: the connection and the bytes are there until the write is done, since this function
            // waits for it. If waiting fails, both are kept for good.
            let pushed = unsafe { queue.push(&send) };
            pushed.map_err(io::Error::other)?;
        }
        drop(queue);
        let mut done = 0;
        while done < buffers.len() {
            match self.0.submit_and_wait(buffers.len() - done) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    for (line, bytes) in buffers {
                        // How much of it is written, nobody can tell any more.
                        let _ = SockRef::from(&line.0.stream).shutdown(Shutdown::Both);
                        mem::forget(((*line).clone(), (*bytes).clone()));
                    }
                    return Err(error);
                }
                _ => {}
            }
            for completion in self.0.completion() {
                done += 1;
                if let Some(written) = written.get_mut(completion.user_data() as usize) {
                    *written = usize::try_from(completion.result()).unwrap_or(0);
                }
            }
        }
        Ok(())
    }
}
