//! The scheduler as a pure state machine. Events with their time are its input, batches its output.
//!
//! It has no clock, thread, channel or tensor. The same events therefore always give the same batches, and the
//! server, the property tests and the simulator run the same code. A [`Job`] is one recording, or
//! one live stream. It is admitted once, by the device time and the memory that it will need. Its work arrives as
//! entries ([`Entry`]), which batches take.
//!
//! # The four kinds of methods
//!
//! The methods of [`Core`] are of four kinds:
//!
//! - **Events** (`handle_*`) state what happened. [`handle_job`](Core::handle_job),
//!   [`handle_announcement`](Core::handle_announcement) and [`handle_entry`](Core::handle_entry) return a [`Refusal`] if
//!   the work is not admitted. The others cannot fail: [`handle_cancel`](Core::handle_cancel),
//!   [`handle_leave`](Core::handle_leave), [`handle_done`](Core::handle_done) and
//!   [`handle_stall`](Core::handle_stall).
//! - **Mutators** state what the server wants. There is one, which is also named `handle_*`:
//!   [`handle_drain`](Core::handle_drain) stops admission.
//! - **Polls** (`poll*`) return what to do next. [`poll`](Core::poll) returns what a free instance should do.
//!   [`poll_ended`](Core::poll_ended) returns entries and jobs that ended, and [`poll_stop`](Core::poll_stop)
//!   returns batches to stop.
//! - **Getters** return what is held, for metrics and for sleeping workers.
//!
//! # The order of calls
//!
//! 1. After each event and each mutator, call `poll_ended` and `poll_stop` until both return none.
//! 2. Call `poll` after each event and each mutator while an instance is free, until it does not return
//!    [`Next::Run`]. After each call do step 1 again, because `poll` also ends jobs that can no longer be done in
//!    time. Only `poll` binds entries to a batch, so a batch is as full as the queue allows at that moment.
//! 3. If `poll` returned [`Next::Wait`], call it again at that time at the latest.
//! 4. When a batch has run, report it with `handle_done`. When a job's caller has all it wants or gives up, or
//!    when [`Ended::Job`] was reported, call `handle_leave`.
//!
//! Each method that needs the time takes it as an argument. **Time must not run backwards** from one call to the
//! next.

mod admission;
mod batch;
mod bulk_share;
mod class;
mod costs;
mod delay_estimator;
mod dispatch;
mod drain_rate;
mod ending;
mod entry;
mod events;
mod fair_queue;
mod forming;
mod graph;
mod holding;
mod job;
mod job_state;
mod jobs;
mod machine;
mod numbered;
mod per_variant;
mod policy;
mod refusal;
mod retry_schedule;
mod rounds;
mod selection;
mod shapes;
#[cfg(test)]
mod tests;
mod time;

pub use batch::{Batch, BatchId, End, Ended, Member, Next, Outcome};
pub use class::{Class, PerClass};
pub use costs::CostTable;
pub use entry::{Entry, EntryId, Task};
pub use events::UnfinishedEntries;
pub use graph::{Graph, PerGraph};
pub use job::{Job, JobId, TenantId, Work};
pub use machine::{Core, Tally};
pub(super) use numbered::Numbered;
pub use policy::{Bounds, Policy};
pub use refusal::Refusal;
pub use shapes::{Shape, Shapes};
pub use time::Time;
