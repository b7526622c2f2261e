//! Which batch a free instance runs next, and what came of the events so far.

use super::batch::{BatchId, Ended, Next};
use super::class::Class;
use super::forming::BatchPlan;
use super::graph::Graph;
use super::machine::Core;
use super::time::Time;

impl Core {
    /// Returns what a free instance should do now. Jobs that can no longer be done in time end here.
    ///
    /// Retries of failed batches run first, then interactive work, then bulk. Bulk runs ahead of interactive
    /// work only if its share of device time is overdue.
    pub fn poll(&mut self, now: Time) -> Next {
        self.expire(now);
        if let Some(retry) = self.retries.pop_front() {
            return Next::Run(self.start_retry(now, &retry));
        }
        let mut wake = None;
        let plan = match self.ready(now, Class::Interactive, &mut wake) {
            Some(plan) => Some(self.overdue_bulk(now, &plan).unwrap_or(plan)),
            None => self.ready(now, Class::Bulk, &mut wake),
        };
        match plan {
            Some(plan) => Next::Run(self.start(now, plan)),
            None => wake.map_or(Next::Idle, Next::Wait),
        }
    }

    /// Returns the next entry or job that ended, in the order in which they ended.
    pub fn poll_ended(&mut self) -> Option<Ended> {
        self.ended.pop_front()
    }

    /// Returns the next batch under way of which nobody waits for any member.
    pub fn poll_stop(&mut self) -> Option<BatchId> {
        self.stops.pop_front()
    }

    /// Returns a class's next batch if a wait would gain nothing. Otherwise `wake` becomes the end of the
    /// wait, if that is earlier. A batch that is not full yields to the other graph's batch, if its members can
    /// wait until that batch ends.
    fn ready(&self, now: Time, class: Class, wake: &mut Option<Time>) -> Option<BatchPlan> {
        let mut yielding: Option<BatchPlan> = None;
        for graph in self.graphs(class) {
            let Some(plan) = self.plan(now, class, graph, self.policy.max_batch_time) else {
                continue;
            };
            if let Some(until) = self.waits_until(now, &plan) {
                *wake = Some(wake.map_or(until, |wake| wake.min(until)));
                continue;
            }
            match (&yielding, self.yields(now, &plan)) {
                (None, true) => yielding = Some(plan),
                (None, false) => return Some(plan),
                (Some(first), false) if plan.time <= self.spare(now, first) => return Some(plan),
                (Some(_), _) => {}
            }
        }
        yielding
    }

    /// Returns a batch of bulk to run ahead of an interactive one, if bulk's share is overdue.
    ///
    /// It does not wait for further members. It may take as long as the interactive batch, but no longer than
    /// that batch can wait, or as the repayment of bulk's share, whichever is more. A batch that lasts only as
    /// long as the repayment would often have one row, which is the most expensive way to repay.
    fn overdue_bulk(&self, now: Time, interactive: &BatchPlan) -> Option<BatchPlan> {
        let graph = *self.graphs(Class::Bulk).first()?;
        let bulk = self.bulk_part(interactive);
        let repayment = self.bulk_share.overdue(interactive.time, bulk)?;
        let harmless = interactive.time.min(self.spare(now, interactive));
        let most = repayment.max(harmless).min(self.policy.max_batch_time);
        self.plan(now, Class::Bulk, graph, most)
    }

    /// Returns the graphs with waiting entries of a class. The graph of the next entry in fair order is first.
    fn graphs(&self, class: Class) -> Vec<Graph> {
        let queue = &self.queues[class];
        let Some((first, _)) = queue.head() else {
            return Vec::new();
        };
        let second = Graph::ALL.into_iter().find(|graph| *graph != first);
        std::iter::once(first)
            .chain(second.filter(|graph| queue.len(*graph) > 0))
            .collect()
    }
}
