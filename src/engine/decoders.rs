//! The threads that decode and segment. They may block, and are separate from those that serve calls.
//!
//! Interactive recordings use the blocking threads of the async runtime. Bulk recordings use a few
//! threads that the system runs only on idle processors. Otherwise a recording of an hour would take
//! whole cores from interactive requests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use tokio::sync::oneshot;

use super::error::InternalError;
use super::threads::run_on_idle_processors;
use crate::scheduler::core::Class;

type DecodeTask = Box<dyn FnOnce() + Send>;

/// The threads for bulk recordings. They end after their tasks when this is dropped.
#[derive(Debug)]
pub(super) struct Decoders {
    bulk: mpsc::SyncSender<DecodeTask>,
}

impl Decoders {
    /// Starts `threads` threads for bulk tasks, and a queue for `waiting` tasks.
    pub(super) fn start(threads: usize, waiting: usize) -> std::io::Result<Self> {
        let (bulk, tasks) = mpsc::sync_channel::<DecodeTask>(waiting);
        let tasks = Arc::new(Mutex::new(tasks));
        for number in 0..threads {
            let tasks = Arc::clone(&tasks);
            thread::Builder::new()
                .name(format!("bulk-{number}"))
                .spawn(move || {
                    run_on_idle_processors();
                    while let Some(task) = next(&tasks) {
                        task();
                    }
                })?;
        }
        Ok(Self { bulk })
    }

    /// Starts a task of a class and returns its result to come. The task runs even if that is dropped.
    pub(super) fn run<T, F>(
        &self,
        class: Class,
        task: F,
    ) -> impl Future<Output = Result<T, InternalError>> + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (sender, result) = oneshot::channel();
        let task: DecodeTask = Box::new(move || {
            if let Ok(done) = catch_unwind(AssertUnwindSafe(task)) {
                // Sending fails if nobody waits for the result any more.
                let _ = sender.send(done);
            }
        });
        let started = match class {
            Class::Interactive => {
                tokio::task::spawn_blocking(task);
                Ok(())
            }
            Class::Bulk => {
                let queued = self.bulk.try_send(task);
                queued.map_err(|_| InternalError::DecoderQueueFull)
            }
        };
        async move {
            started?;
            result.await.map_err(|_| InternalError::DecoderPanicked)
        }
    }
}

fn next(tasks: &Mutex<mpsc::Receiver<DecodeTask>>) -> Option<DecodeTask> {
    let tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
    tasks.recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_fails_its_own_task_and_the_threads_continue() {
        let decoders = Decoders::start(1, 4).unwrap();
        for class in Class::ALL {
            let failed = decoders.run(class, || -> usize { panic!("the test's own panic") });
            assert!(matches!(failed.await, Err(InternalError::DecoderPanicked)));
            assert_eq!(decoders.run(class, || 7).await.unwrap(), 7);
        }
    }

    #[tokio::test]
    async fn a_bulk_task_beyond_the_bound_is_refused() {
        let decoders = Decoders::start(1, 1).unwrap();
        let (release, blocked) = mpsc::channel::<()>();
        let first = decoders.run(Class::Bulk, move || blocked.recv().is_ok());
        let others = [0, 1, 2].map(|_| decoders.run(Class::Bulk, || ()));
        release.send(()).unwrap();
        first.await.unwrap();
        let [_, _, last] = others;
        assert!(matches!(last.await, Err(InternalError::DecoderQueueFull)));
    }
}
