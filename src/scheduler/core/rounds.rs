//! Rounds of the jobs of one tenant: they keep a long recording from delaying the short calls of its tenant.
//!
//! A job may run [`ROUND`] items (segments and steps) per round; its further items belong to later rounds. Entries
//! of an earlier round run first. This is start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996) with
//! rounds in place of packets. No job starves, because new jobs begin in ever later rounds.

/// Items that a job may run per round: 128 segments and as many steps, which are 16 s of one lane at the usual
/// hop. Most calls are shorter, so they keep the order of their arrival.
pub(super) const ROUND: usize = 256;

/// Parts of an item by which the clock advances, so that a division by the number of jobs loses little.
const PARTS: u64 = 1 << 10;

/// The clock of one tenant's jobs of one class.
///
/// It advances by the items that each job would have been given if all had been served evenly. A new job begins
/// one round before that, so it runs ahead of jobs that have had their even part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rounds {
    /// Jobs that have not ended.
    pub(super) jobs: usize,
    /// Parts of items that each job would have been given if all had been served evenly.
    clock: u64,
}

impl Rounds {
    /// Records that a batch took this many items of the jobs.
    pub(super) fn served(&mut self, items: usize) {
        self.clock += items as u64 * PARTS / (self.jobs as u64).max(1);
    }

    /// Returns the round of a job's next entry, unless the job itself is in a later round.
    fn first_open(&self) -> u64 {
        (self.clock / (ROUND as u64 * PARTS)).saturating_sub(1)
    }
}

/// The round that a job has reached.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundProgress {
    round: u64,
    /// Items of that round that it has submitted.
    used: usize,
}

impl RoundProgress {
    /// Adds an entry with this many items and returns its round. A job that submitted nothing for a while has
    /// gained nothing by it.
    pub(super) fn submit(&mut self, rounds: &Rounds, items: usize) -> u64 {
        let open = rounds.first_open();
        if open > self.round {
            *self = Self {
                round: open,
                used: 0,
            };
        }
        let round = self.round;
        self.used += items;
        self.round += (self.used / ROUND) as u64;
        self.used %= ROUND;
        round
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_submits_the_items_of_a_round_before_its_next_round_begins() {
        let rounds = Rounds { jobs: 1, clock: 0 };
        let mut job = RoundProgress::default();
        let submitted = [64; 9].map(|items| job.submit(&rounds, items));
        assert_eq!(submitted, [0, 0, 0, 0, 1, 1, 1, 1, 2]);
    }

    #[test]
    fn a_new_job_begins_a_round_before_jobs_that_had_their_part() {
        let mut rounds = Rounds { jobs: 3, clock: 0 };
        let mut long = RoundProgress::default();
        for _ in 0..4 {
            long.submit(&rounds, ROUND);
            rounds.served(3 * ROUND);
        }
        assert_eq!(long.submit(&rounds, 1), 4);
        assert_eq!(RoundProgress::default().submit(&rounds, 1), 3);
    }

    #[test]
    fn new_jobs_do_not_delay_an_old_one_for_ever() {
        let mut rounds = Rounds { jobs: 2, clock: 0 };
        let waits = RoundProgress::default().submit(&rounds, 1);
        let mut served = 0;
        while RoundProgress::default().submit(&rounds, 1) <= waits {
            rounds.served(ROUND);
            served += 1;
            assert!(served <= 4, "two rounds of two jobs");
        }
    }
}
