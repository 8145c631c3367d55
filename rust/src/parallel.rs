//! Independent work on several threads.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};

use crate::{Result, interrupt};

/// Returns the results of `work(0)..work(count - 1)` in order, or the first error in that order.
///
/// `threads` threads share the work, the calling one included; 0 stands for [`cores`]. They stop early if the calling
/// thread's work is cancelled.
pub(crate) fn in_parallel<T: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let threads = if count > 1 && threads == 0 { cores() } else { threads };
    if count <= 1 || threads <= 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<T>>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let run = || loop {
        let i = next.fetch_add(1, Ordering::Relaxed);
        let Some(result) = results.get(i) else { break };
        let value = interrupt::check().and_then(|()| work(i));
        if let Ok(mut result) = result.lock() {
            *result = Some(value);
        }
    };
    let cancelled = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (at_work, helpers) = channel::<()>();
        for _ in 1..threads.min(count) {
            let (at_work, cancelled, run) = (at_work.clone(), &cancelled, &run);
            let help = move || {
                interrupt::with_flag(cancelled, run);
                drop(at_work);
            };
            // If the system has no more threads, those that exist do all the work.
            let _ = std::thread::Builder::new().spawn_scoped(scope, help);
        }
        drop(at_work);
        run();
        // Only the calling thread can ask whether the work is wanted: it does so while it waits for the helpers.
        while helpers.recv_timeout(interrupt::INTERVAL) == Err(RecvTimeoutError::Timeout) {
            cancelled.fetch_or(!interrupt::is_wanted(), Ordering::Relaxed);
        }
    });
    let result =
        |result: Mutex<Option<_>>| result.into_inner().ok().flatten().expect("each index was worked on");
    results.into_iter().map(result).collect()
}

/// Returns the number of processors that this process may use, according to its affinity and its cgroup's quota.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::Error;
    use crate::interrupt::{check, watched};

    #[test]
    fn helpers_stop_when_the_caller_is_cancelled() {
        // All but the last part end at once, so that the calling thread only waits for a helper.
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
