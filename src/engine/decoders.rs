//! Where decoding and segmenting run: threads that may block, apart from those that answer calls.
//!
//! Interactive recordings use the runtime's own blocking threads. Bulk ones have a few threads of
//! their own that the system lets run on idle processors alone, for else a recording of an hour would
//! take whole cores from callers who wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use tokio::sync::oneshot;

use super::threads::run_on_idle_processors;
use crate::scheduler::core::Class;

type Work = Box<dyn FnOnce() + Send>;

/// The threads; they end when this is dropped and their work is done.
#[derive(Debug)]
pub(super) struct Decoders {
    bulk: mpsc::SyncSender<Work>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoResult {
    /// The work panicked; the log says where.
    #[error("decoding or segmenting panicked")]
    Panicked,
    /// More bulk work waits than there may be requests.
    #[error("the decoders are overrun")]
    Overrun,
}

impl Decoders {
    /// Starts so many threads for bulk work, of which so much may wait.
    pub(super) fn start(threads: usize, waiting: usize) -> std::io::Result<Self> {
        let (bulk, work) = mpsc::sync_channel::<Work>(waiting);
        let work = Arc::new(Mutex::new(work));
        for number in 0..threads {
            let work = Arc::clone(&work);
            thread::Builder::new()
                .name(format!("bulk-{number}"))
                .spawn(move || {
                    run_on_idle_processors();
                    while let Some(work) = next(&work) {
                        work();
                    }
                })?;
        }
        Ok(Self { bulk })
    }

    /// Starts work of a class; the result is awaited. Work that nobody awaits any more still runs.
    pub(super) fn run<T, F>(
        &self,
        class: Class,
        work: F,
    ) -> impl Future<Output = Result<T, NoResult>> + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (sender, result) = oneshot::channel();
        let work: Work = Box::new(move || {
            if let Ok(done) = catch_unwind(AssertUnwindSafe(work)) {
                // Nobody may want it any more.
                let _ = sender.send(done);
            }
        });
        let started = match class {
            Class::Interactive => {
                tokio::task::spawn_blocking(work);
                Ok(())
            }
            Class::Bulk => self.bulk.try_send(work).map_err(|_| NoResult::Overrun),
        };
        async move {
            started?;
            result.await.map_err(|_| NoResult::Panicked)
        }
    }
}

fn next(work: &Mutex<mpsc::Receiver<Work>>) -> Option<Work> {
    let work = work.lock().unwrap_or_else(PoisonError::into_inner);
    work.recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_fails_its_own_work_and_the_threads_live_on() {
        let decoders = Decoders::start(1, 4).unwrap();
        for class in Class::ALL {
            let failed = decoders.run(class, || -> usize { panic!("a fault of the test's") });
            assert!(matches!(failed.await, Err(NoResult::Panicked)));
            assert_eq!(decoders.run(class, || 7).await.unwrap(), 7);
        }
    }

    #[tokio::test]
    async fn bulk_work_beyond_the_bound_is_refused() {
        let decoders = Decoders::start(1, 1).unwrap();
        let (release, held) = mpsc::channel::<()>();
        let first = decoders.run(Class::Bulk, move || held.recv().is_ok());
        let others = [0, 1, 2].map(|_| decoders.run(Class::Bulk, || ()));
        release.send(()).unwrap();
        first.await.unwrap();
        let [_, _, last] = others;
        assert!(matches!(last.await, Err(NoResult::Overrun)));
    }
}
