//! What is being written to a connection, in few writes.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{io::AsyncWrite, sync::oneshot};
use websocket::{Deflate, Encoded, Frame};

/// Frames whose payload is shorter are copied side by side, which costs less than a slice of its own.
const COPIED: usize = 8 * 1024;
/// Bytes that are copied for one write.
const SCRATCH: usize = 64 * 1024;
/// Slices of long frames in one write; the kernel takes up to 1,024.
const SLICES: usize = 64;
/// Frames for which a spare batch keeps memory.
const KEPT_FRAMES: usize = 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(SCRATCH));
    /// The batch that was written last: the next one to write has its memory.
    static SPARE: Cell<Option<Box<Batch>>> = const { Cell::new(None) };
}

#[derive(Default)]
pub(super) struct Batch {
    pub(super) frames: VecDeque<Encoded>,
    /// Bytes of the first frame that are written.
    offset: usize,
    /// Bytes that the batch counts for in the session's outbox.
    pub(super) from_outbox: usize,
    /// Whom to tell when it is written.
    pub(super) flushes: Vec<oneshot::Sender<()>>,
    /// What was taken from a topic: compressed outside of its lock.
    pub(super) taken: Vec<Frame>,
}

/// The batch, made of the thread's spare one where there is none.
#[inline]
pub(super) fn batch(slot: &mut Option<Box<Batch>>) -> &mut Batch {
    slot.get_or_insert_with(|| SPARE.take().unwrap_or_default())
}

/// Makes an empty batch the thread's spare one, unless it has grown large.
#[inline]
pub(super) fn keep(batch: &mut Option<Box<Batch>>) {
    if let Some(batch) = batch.take()
        && batch.frames.capacity() <= KEPT_FRAMES
    {
        SPARE.set(Some(batch));
    }
}

/// Whether so many bytes are copied to be written.
pub(super) fn is_short(bytes: usize) -> bool {
    bytes < COPIED
}

/// Writes a short frame once, without a batch.
pub(super) fn poll_write_short(
    frame: &Encoded,
    io: &mut (impl AsyncWrite + Unpin),
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        buffer.extend_from_slice(frame.header());
        buffer.extend_from_slice(frame.payload());
        Pin::new(io).poll_write(cx, buffer)
    })
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.from_outbox == 0 && self.flushes.is_empty()
    }

    pub(super) fn encode_taken(&mut self, deflate: Option<Deflate>) {
        let taken = self.taken.drain(..);
        self.frames
            .extend(taken.map(|frame| frame.into_encoded(deflate)));
    }

    /// Writes once: short frames side by side out of the thread's buffer, long ones from where
    /// they lie.
    pub(super) fn poll_write(
        &self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let io = Pin::new(io);
        let is_long = |frame: &Encoded| !is_short(frame.payload().len());
        if self.frames.front().is_some_and(is_long) && io.is_write_vectored() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            self.pieces(|piece| {
                slices[count] = IoSlice::new(piece);
                count += 1;
                count < SLICES
            });
            return io.poll_write_vectored(cx, &slices[..count]);
        }
        BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            self.pieces(|piece| {
                let room = SCRATCH - buffer.len();
                buffer.extend_from_slice(&piece[..piece.len().min(room)]);
                piece.len() < room
            });
            io.poll_write(cx, buffer)
        })
    }

    /// Hands out what is to be written, in order, until `take` wants no more.
    fn pieces<'b>(&'b self, mut take: impl FnMut(&'b [u8]) -> bool) {
        let mut written = self.offset;
        for frame in &self.frames {
            for piece in &[frame.header(), frame.payload()] {
                let skipped = written.min(piece.len());
                written -= skipped;
                if skipped < piece.len() && !take(&piece[skipped..]) {
                    return;
                }
            }
        }
    }

    #[inline]
    pub(super) fn advance(&mut self, written: usize) {
        self.offset += written;
        while let Some(first) = self.frames.front() {
            if self.offset < first.len() {
                return;
            }
            self.offset -= first.len();
            self.frames.pop_front();
        }
    }
}
