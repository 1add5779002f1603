//! A program's output: handed on as it comes, and recorded.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, ReadBuf};

use super::limits::StreamRecord;
use super::sum::Sum;

/// One of a program's two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Where a program's output goes while it runs.
///
/// `take` is called on the task that runs the program, in the order in which the bytes are read; between the two
/// streams that is roughly the order in which they were written. It should not block: while it does, no limit, no
/// timeout and no lock ends the program. A panic in it ends the program at once.
pub trait OutputSink: Send {
    /// Takes the next bytes of a stream; never empty, at most 64 KiB.
    fn take(&mut self, stream: Stream, bytes: &[u8]);
}

/// Keeps all output in memory: at most twice [`Limits::output`](super::Limits::output).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl OutputSink for Collected {
    fn take(&mut self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stdout => self.stdout.extend_from_slice(bytes),
            Stream::Stderr => self.stderr.extend_from_slice(bytes),
        }
    }
}

/// The lengths only: output may hold secrets.
impl std::fmt::Debug for Collected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Collected {{ stdout: {} bytes, stderr: {} bytes }}",
            self.stdout.len(),
            self.stderr.len()
        )
    }
}

/// Drops the output; it is still counted and summed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Discard;

impl OutputSink for Discard {
    fn take(&mut self, _stream: Stream, _bytes: &[u8]) {}
}

/// One stream being read.
pub(super) struct Tap<R> {
    which: Stream,
    pipe: Option<R>,
    sum: Sha256,
    bytes: u64,
    most: u64,
    truncated: bool,
}

/// What reading brought.
pub(super) enum Flow {
    /// Some bytes, or the end.
    Some,
    /// The first bytes past the limit.
    Over,
}

impl<R: AsyncRead + Unpin> Tap<R> {
    pub(super) fn new(which: Stream, pipe: Option<R>, most: u64) -> Self {
        Self {
            which,
            pipe,
            sum: Sha256::new(),
            bytes: 0,
            most,
            truncated: false,
        }
    }

    /// Whether the stream has ended.
    pub(super) const fn is_done(&self) -> bool {
        self.pipe.is_none()
    }

    /// Reads what is there; pending for ever once the stream has ended. What comes past the limit is read and
    /// dropped, so that the program can end.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, buffer: &mut [u8], sink: &mut dyn OutputSink) -> Poll<Flow> {
        let Some(pipe) = &mut self.pipe else {
            return Poll::Pending;
        };
        let mut read = ReadBuf::new(buffer);
        let outcome = ready!(Pin::new(pipe).poll_read(cx, &mut read));
        let bytes = read.filled();
        if outcome.is_err() || bytes.is_empty() {
            self.truncated |= outcome.is_err();
            self.pipe = None;
            return Poll::Ready(Flow::Some);
        }
        let room = usize::try_from(self.most - self.bytes).unwrap_or(usize::MAX);
        let (fits, over) = bytes.split_at(bytes.len().min(room));
        if !fits.is_empty() {
            self.sum.update(fits);
            self.bytes += fits.len() as u64;
            sink.take(self.which, fits);
        }
        if over.is_empty() || std::mem::replace(&mut self.truncated, true) {
            return Poll::Ready(Flow::Some);
        }
        Poll::Ready(Flow::Over)
    }

    /// What was read; a stream that has not ended counts as truncated.
    pub(super) fn record(self) -> StreamRecord {
        StreamRecord {
            sha256: Sum::new(self.sum.finalize().into()),
            bytes: self.bytes,
            truncated: self.truncated || self.pipe.is_some(),
        }
    }
}
