//! Turns among the jobs of one tenant, so that a long recording does not hold up its own tenant's short
//! calls.
//!
//! Work is counted in items: segments and steps. A job may run [`ROUND`] items a round; its further items
//! belong to later rounds. Entries of an earlier round run first, and within a round the earliest deadline,
//! then the earliest job. The tenant's own round advances by what each of its jobs would have been given if
//! all had been served evenly. A new job begins one round before that, so it runs ahead of whoever has had
//! its even part. This is start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996) with a round for a
//! packet: jobs of up to one round keep the order of their arrival, and no job starves, because new jobs
//! begin in ever later rounds.

/// Items that a job runs a round: 128 segments and as many steps, 16 s of one lane at the usual hop. Shorter
/// calls, which are most, are never put back behind later ones.
pub(super) const ROUND: usize = 256;

/// Parts of an item by which the clock advances.
const PARTS: u64 = 1 << 10;

/// The rounds of one tenant's jobs of one class.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rounds {
    /// Jobs that have not ended.
    pub(super) jobs: usize,
    /// Parts of items that each job would have been given, had all been served evenly.
    clock: u64,
}

impl Rounds {
    /// So many items of the jobs were taken into a batch.
    pub(super) fn served(&mut self, items: usize) {
        self.clock += items as u64 * PARTS / (self.jobs as u64).max(1);
    }

    /// The round in which a job's next entry belongs if it has earned none later.
    fn first_open(&self) -> u64 {
        (self.clock / (ROUND as u64 * PARTS)).saturating_sub(1)
    }
}

/// How far a job has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    round: u64,
    /// Items of that round that it has submitted.
    used: usize,
}

impl Progress {
    /// The round of an entry with so many items. Who submitted nothing for a while has saved nothing up.
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
    fn a_job_submits_a_rounds_items_before_its_next_round_begins() {
        let rounds = Rounds { jobs: 1, clock: 0 };
        let mut job = Progress::default();
        let submitted = [64; 9].map(|items| job.submit(&rounds, items));
        assert_eq!(submitted, [0, 0, 0, 0, 1, 1, 1, 1, 2]);
    }

    #[test]
    fn a_new_job_begins_a_round_before_those_that_had_their_part() {
        let mut rounds = Rounds { jobs: 3, clock: 0 };
        let mut long = Progress::default();
        for _ in 0..4 {
            long.submit(&rounds, ROUND);
            rounds.served(3 * ROUND);
        }
        assert_eq!(long.submit(&rounds, 1), 4);
        assert_eq!(Progress::default().submit(&rounds, 1), 3);
    }

    #[test]
    fn new_jobs_do_not_hold_up_an_old_one_for_ever() {
        let mut rounds = Rounds { jobs: 2, clock: 0 };
        let waits = Progress::default().submit(&rounds, 1);
        let mut served = 0;
        while Progress::default().submit(&rounds, 1) <= waits {
            rounds.served(ROUND);
            served += 1;
            assert!(served <= 4, "two rounds of two jobs");
        }
    }
}
