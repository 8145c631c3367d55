//! Whether work is still wanted, which long work asks now and then so as to end early.
//!
//! Once the answer is no, it stays no. So what can't fail just ends early, with a result of no use, and whoever called it
//! asks again.

use std::cell::RefCell;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// How often whoever wants the work is asked.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);

/// How a thread learns that its work is no longer wanted.
#[derive(Default)]
enum Watch {
    /// It does not.
    #[default]
    Never,
    /// It asks whoever wants the work: the next time then, or at once.
    Asks { wanted: fn() -> bool, next: Option<Instant> },
    /// The thread that it helps tells it.
    Told(Arc<AtomicBool>),
    /// It has learnt it.
    Stopped,
}

thread_local! {
    static WATCH: RefCell<Watch> = const { RefCell::new(Watch::Never) };
}

/// Does work that ends early once `wanted` returns false. That is asked in this thread, and not often.
#[cfg_attr(not(feature = "python"), allow(dead_code))]
pub(crate) fn watched<T>(wanted: fn() -> bool, work: impl FnOnce() -> T) -> T {
    within(Watch::Asks { wanted, next: None }, work)
}

/// Does work that ends early once the flag is set.
pub(crate) fn told<T>(stopped: &Arc<AtomicBool>, work: impl FnOnce() -> T) -> T {
    within(Watch::Told(Arc::clone(stopped)), work)
}

/// Does work, such as what is made once for all, to its end.
pub(crate) fn undisturbed<T>(work: impl FnOnce() -> T) -> T {
    within(Watch::Never, work)
}

fn within<T>(watch: Watch, work: impl FnOnce() -> T) -> T {
    struct Restore(Watch);
    impl Drop for Restore {
        fn drop(&mut self) {
            WATCH.set(std::mem::take(&mut self.0));
        }
    }
    let _restore = Restore(WATCH.replace(watch));
    work()
}

/// Returns [`Error::Interrupted`] if the work that this thread does is no longer wanted.
///
/// This takes some 30 nanoseconds.
pub(crate) fn check() -> Result<()> {
    match is_wanted() {
        true => Ok(()),
        false => Err(Error::Interrupted),
    }
}

/// Whether the work that this thread does is still wanted.
#[inline(never)]
pub(crate) fn is_wanted() -> bool {
    let ask = WATCH.with_borrow_mut(|watch| match watch {
        Watch::Never => Err(true),
        Watch::Stopped => Err(false),
        Watch::Told(stopped) => Err(!stopped.load(Ordering::Relaxed)),
        Watch::Asks { wanted, next } => {
            let now = Instant::now();
            if now < *next.get_or_insert(now + INTERVAL) {
                return Err(true);
            }
            Ok((*wanted, now))
        }
    });
    let (wanted, now) = match ask {
        Ok(ask) => ask,
        Err(known) => return known,
    };
    // What is asked may do work of its own.
    let go_on = undisturbed(wanted);
    // Where an answer takes long, since Python is busy elsewhere, it is asked for less often.
    let next = Some(Instant::now() + INTERVAL.max(20 * now.elapsed()));
    WATCH.set(if go_on { Watch::Asks { wanted, next } } else { Watch::Stopped });
    go_on
}

/// So many elements are gone through before it is asked whether the work is still wanted.
pub(crate) const PIECE: usize = 1 << 16;

/// Elements in order, piece by piece, as long as the work is wanted.
pub(crate) fn pieces<T>(elements: &[T]) -> impl Iterator<Item = &[T]> {
    elements.chunks(PIECE).take_while(|piece| piece.len() < PIECE || is_wanted())
}

/// Longer data are compressed in a thread of their own.
const LONG: usize = 8 << 20;

/// What `compress` makes of data, which has no end before its end: so a thread does it that can be left alone. (zstd could
/// be given the data piece by piece, but makes more of them then, and other bytes.)
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

/// Reads from another reader as long as the work is wanted.
pub(crate) struct Watched<R>(pub R);

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        check().map_err(std::io::Error::other)?;
        self.0.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ans::in_parallel;

    /// Asks until the answer is no, and returns how long that took.
    fn wait() -> Duration {
        let begin = Instant::now();
        while is_wanted() {
            assert!(begin.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(1));
        }
        begin.elapsed()
    }

    #[test]
    fn work_is_wanted_until_it_is_not() {
        assert_eq!(check(), Ok(()));
        watched(
            || false,
            || {
                assert_eq!(check(), Ok(()), "not asked at once");
                assert!(wait() >= INTERVAL / 2);
                assert_eq!(check(), Err(Error::Interrupted));
                assert!(Watched(&b"abc"[..]).read(&mut [0; 3]).is_err());
                assert_eq!(undisturbed(check), Ok(()));
                watched(|| true, || assert_eq!(check(), Ok(())));
                assert_eq!(check(), Err(Error::Interrupted));
            },
        );
        assert_eq!(check(), Ok(()));
    }

    #[test]
    fn helpers_are_told() {
        // All but the last part end at once, so that the calling thread has nothing to do but to wait for a helper.
        let work = |i: usize| -> Result<usize> {
            if i == 5 {
                loop {
                    check()?;
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            std::thread::sleep(Duration::from_millis(20));
            Ok(i)
        };
        for threads in [1, 2, 3, 6] {
            let begin = Instant::now();
            let result = watched(|| false, || in_parallel(6, threads, work));
            assert_eq!(result, Err(Error::Interrupted));
            assert!(begin.elapsed() < Duration::from_secs(20));
        }
        let result = watched(|| true, || in_parallel(6, 2, |i| check().map(|()| i)));
        assert_eq!(result, Ok((0..6).collect()));
    }
}
