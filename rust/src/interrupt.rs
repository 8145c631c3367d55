//! Cancellation: long work checks now and then whether the caller still wants it.
//!
//! Once work is cancelled, it stays cancelled. So a function that has no error to return may just end early with a result
//! that has no meaning: its caller checks again.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// The shortest time between two questions to the caller.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);

/// The way in which a thread learns that its work is cancelled.
#[derive(Default)]
enum Watch {
    /// The work cannot be cancelled.
    #[default]
    Never,
    /// The thread asks `wanted`, at time `next` or, after the first check, later.
    Asks { wanted: fn() -> bool, next: Option<Instant> },
    /// Another thread sets this flag.
    Flag(Arc<AtomicBool>),
    /// The work is cancelled.
    Cancelled,
}

thread_local! {
    static WATCH: RefCell<Watch> = const { RefCell::new(Watch::Never) };
}

/// Does work that is cancelled once `wanted` returns false. This thread calls `wanted`, but not often.
#[cfg_attr(not(feature = "python"), allow(dead_code))]
pub(crate) fn watched<T>(wanted: fn() -> bool, work: impl FnOnce() -> T) -> T {
    with(Watch::Asks { wanted, next: None }, work)
}

/// Does work that is cancelled once the flag is set.
pub(crate) fn with_flag<T>(cancelled: &Arc<AtomicBool>, work: impl FnOnce() -> T) -> T {
    with(Watch::Flag(Arc::clone(cancelled)), work)
}

/// Does work that cannot be cancelled, such as building a table that is kept.
pub(crate) fn undisturbed<T>(work: impl FnOnce() -> T) -> T {
    with(Watch::Never, work)
}

fn with<T>(watch: Watch, work: impl FnOnce() -> T) -> T {
    struct Restore(Watch);
    impl Drop for Restore {
        fn drop(&mut self) {
            WATCH.set(std::mem::take(&mut self.0));
        }
    }
    let _restore = Restore(WATCH.replace(watch));
    work()
}

/// Returns [`Error::Interrupted`] if this thread's work is cancelled. This takes about 30 nanoseconds.
pub(crate) fn check() -> Result<()> {
    match is_wanted() {
        true => Ok(()),
        false => Err(Error::Interrupted),
    }
}

/// Returns whether this thread's work is still wanted.
#[inline(never)]
pub(crate) fn is_wanted() -> bool {
    let question = WATCH.with_borrow_mut(|watch| match watch {
        Watch::Never => Err(true),
        Watch::Cancelled => Err(false),
        Watch::Flag(cancelled) => Err(!cancelled.load(Ordering::Relaxed)),
        Watch::Asks { wanted, next } => {
            let now = Instant::now();
            if now < *next.get_or_insert(now + INTERVAL) {
                return Err(true);
            }
            Ok((*wanted, now))
        }
    });
    let (wanted, now) = match question {
        Ok(question) => question,
        Err(known) => return known,
    };
    // `wanted` may itself do work of this crate.
    let go_on = undisturbed(wanted);
    // If an answer takes long, because Python is busy elsewhere, the next question comes later.
    let next = Some(Instant::now() + INTERVAL.max(20 * now.elapsed()));
    WATCH.set(if go_on { Watch::Asks { wanted, next } } else { Watch::Cancelled });
    go_on
}

#[cfg(feature = "formats")]
pub(crate) use streams::{PIECE, Watched, compress, pieces};

/// Cancellation for iterators, readers and compressors.
#[cfg(feature = "formats")]
mod streams {
    use std::io::Read;
    use std::sync::mpsc::{RecvTimeoutError, channel};

    use super::{INTERVAL, WATCH, Watch, check, is_wanted};
    use crate::Result;

    /// The number of elements between two checks.
    pub(crate) const PIECE: usize = 1 << 16;

    /// Returns the elements in pieces, in order, until the work is cancelled.
    pub(crate) fn pieces<T>(elements: &[T]) -> impl Iterator<Item = &[T]> {
        elements.chunks(PIECE).take_while(|piece| piece.len() < PIECE || is_wanted())
    }

    /// Data longer than this is compressed in a thread of its own.
    const LONG: usize = 8 << 20;

    /// Compresses data with a function that cannot be cancelled: for long data, a thread calls it that can be abandoned.
    /// (Given the data in pieces, zstd would make other bytes, and more of them.)
    pub(crate) fn compress(
        data: &[u8],
        compress: fn(&[u8]) -> std::io::Result<Vec<u8>>,
    ) -> Result<std::io::Result<Vec<u8>>> {
        if data.len() < LONG || WATCH.with_borrow(|watch| matches!(watch, Watch::Never)) {
            return Ok(compress(data));
        }
        let (sender, receiver) = channel();
        let copy = data.to_vec();
        let work = move || drop(sender.send(compress(&copy)));
        if std::thread::Builder::new().spawn(work).is_ok() {
            loop {
                match receiver.recv_timeout(INTERVAL) {
                    Ok(compressed) => return Ok(compressed),
                    Err(RecvTimeoutError::Timeout) => check()?,
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        }
        Ok(compress(data))
    }

    /// A reader that fails once the work is cancelled.
    pub(crate) struct Watched<R>(pub(crate) R);

    impl<R: Read> Read for Watched<R> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            check().map_err(std::io::Error::other)?;
            self.0.read(buffer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks until the work is cancelled, and returns how long that took.
    fn wait() -> Duration {
        let begin = Instant::now();
        while is_wanted() {
            assert!(begin.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(1));
        }
        begin.elapsed()
    }

    #[test]
    fn work_is_wanted_until_it_is_cancelled() {
        assert_eq!(check(), Ok(()));
        watched(
            || false,
            || {
                assert_eq!(check(), Ok(()), "the first question comes later");
                assert!(wait() >= INTERVAL / 2);
                assert_eq!(check(), Err(Error::Interrupted));
                #[cfg(feature = "formats")]
                assert!(std::io::Read::read(&mut Watched(&b"abc"[..]), &mut [0; 3]).is_err());
                assert_eq!(undisturbed(check), Ok(()));
                watched(|| true, || assert_eq!(check(), Ok(())));
                assert_eq!(check(), Err(Error::Interrupted));
            },
        );
        assert_eq!(check(), Ok(()));
    }
}
