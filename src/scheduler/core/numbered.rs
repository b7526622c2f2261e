//! Maps by numbers that we give ourselves.

use std::collections::HashMap;

/// By the number of a job, an entry or a batch. Nobody can choose these so that they collide, so they are
/// hashed by what is fastest.
pub(in super::super) type Numbered<K, V> = HashMap<K, V, foldhash::fast::FixedState>;
