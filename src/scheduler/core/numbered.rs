//! Maps from the numbers that the scheduler itself assigns.

use std::collections::HashMap;

/// A map by the number of a job, an entry or a batch. Callers cannot choose these numbers so that they collide,
/// so the fastest hash is used.
pub(crate) type Numbered<K, V> = HashMap<K, V, foldhash::fast::FixedState>;
