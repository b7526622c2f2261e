//! Representations of utterances: how well they separate groups, and a projection to two dimensions.
//!
//! The numbers are measured in the original space; the t-SNE projection is only for the chart.

use std::collections::BTreeMap;

use anyhow::Result;
use bhtsne::tSNE;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use crate::evaluate::metrics::mean;

/// Number of neighbours that purity counts.
const NEIGHBOURS: usize = 10;
/// t-SNE's perplexity if there are enough points for it.
const PERPLEXITY: f32 = 30.0;
/// Accuracy of the Barnes–Hut approximation.
const THETA: f32 = 0.5;
/// Seed of the points that t-SNE starts from.
const SEED: u64 = 4;

/// How well a space separates emotions and speakers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Separation {
    /// By emotion.
    pub emotion: Grouping,
    /// By speaker.
    pub speaker: Grouping,
}

/// How well a space separates groups.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Grouping {
    /// Mean silhouette, −1 to 1; `None` for fewer than two groups.
    pub silhouette: Option<f64>,
    /// Mean share of a point's ten nearest that are in its group.
    pub purity: f64,
    /// Purity of random points.
    pub chance_purity: f64,
}

/// The distances between points.
#[derive(Debug)]
pub struct Space(Vec<Vec<f32>>);

impl Space {
    /// Computes the distances of points.
    #[must_use]
    pub fn of(points: &[&[f32]]) -> Self {
        let row = |point: &&[f32]| points.iter().map(|other| distance(point, other)).collect();
        Self(points.iter().map(row).collect())
    }

    /// Measures how well points are separated by label and by speaker.
    #[must_use]
    pub fn separation(&self, labels: &[usize], speakers: &[usize]) -> Separation {
        Separation {
            emotion: Grouping::of(self, labels),
            speaker: Grouping::of(self, speakers),
        }
    }

    /// Computes, for each point, the share of its ten nearest that are in its group.
    #[must_use]
    pub fn purities(&self, groups: &[usize]) -> Vec<f64> {
        let purity = |(point, row): (usize, &Vec<f32>)| {
            let mut others: Vec<usize> =
                (0..groups.len()).filter(|other| *other != point).collect();
            others.sort_by(|&a, &b| row[a].total_cmp(&row[b]));
            others.truncate(NEIGHBOURS);
            let same = others
                .iter()
                .filter(|other| groups[**other] == groups[point]);
            same.count() as f64 / others.len().max(1) as f64
        };
        self.0.iter().enumerate().map(purity).collect()
    }
}

impl Grouping {
    fn of(space: &Space, groups: &[usize]) -> Self {
        let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
        for group in groups {
            *sizes.entry(*group).or_default() += 1;
        }
        let count = groups.len() as f64;
        let pairs: f64 = sizes.values().map(|&size| (size * (size - 1)) as f64).sum();
        Self {
            silhouette: silhouette(&space.0, groups, &sizes),
            purity: mean(space.purities(groups).into_iter()),
            chance_purity: pairs / (count * (count - 1.0)).max(1.0),
        }
    }
}

/// Computes Rousseeuw's silhouette: the mean of (b − a) / max(a, b), with a the mean distance to a point's own group
/// and b that to the nearest other group; 0 for a point that is alone in its group.
fn silhouette(
    distances: &[Vec<f32>],
    groups: &[usize],
    sizes: &BTreeMap<usize, usize>,
) -> Option<f64> {
    if sizes.len() < 2 {
        return None;
    }
    let mut sum = 0.0;
    for (row, own) in distances.iter().zip(groups) {
        let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
        for (distance, group) in row.iter().zip(groups) {
            *sums.entry(*group).or_default() += f64::from(*distance);
        }
        if sizes[own] < 2 {
            continue;
        }
        let within = sums[own] / (sizes[own] - 1) as f64;
        let between = sums
            .iter()
            .filter(|(group, _)| *group != own)
            .map(|(group, sum)| sum / sizes[group] as f64)
            .fold(f64::INFINITY, f64::min);
        sum += (between - within) / between.max(within).max(f64::MIN_POSITIVE);
    }
    Some(sum / groups.len() as f64)
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f32>().sqrt()
}

/// Numbers names in their alphabetical order.
#[must_use]
pub fn numbered<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<usize> {
    let mut order: Vec<&str> = names.clone().collect();
    order.sort_unstable();
    order.dedup();
    names
        .map(|name| order.partition_point(|other| *other < name))
        .collect()
}

/// Projects points to two dimensions by t-SNE; `None` if there are too few points.
///
/// Uses one thread and a fixed start, because sums in another order would move every point.
///
/// # Errors
/// If a thread cannot be started.
pub fn project(points: &[&[f32]]) -> Result<Option<Vec<[f64; 2]>>> {
    // bhtsne refuses a perplexity above a third of the other points.
    let perplexity = PERPLEXITY.min((points.len().saturating_sub(1) / 3) as f32);
    if perplexity < 2.0 {
        return Ok(None);
    }
    let mut random = StdRng::seed_from_u64(SEED);
    let start: Vec<f32> = (0..2 * points.len())
        .map(|_| random.random_range(-1e-4..1e-4))
        .collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let flat = pool.install(|| {
        let mut tsne: tSNE<'_, f32, &[f32]> = tSNE::new(points);
        tsne.perplexity(perplexity)
            .initial_embedding(start)
            .barnes_hut(THETA, |a, b| distance(a, b))
            .embedding()
    });
    let places = flat.chunks_exact(2);
    Ok(Some(
        places
            .map(|place| [f64::from(place[0]), f64::from(place[1])])
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: [&[f32]; 4] = [&[0.0], &[1.0], &[5.0], &[6.0]];

    #[test]
    fn separation_agrees_with_a_calculation_by_hand() {
        let apart = Space::of(&LINE).separation(&[0, 0, 1, 1], &[0, 1, 0, 1]);
        // Points 0 and 6: a = 1, b = 5.5; points 1 and 5: a = 1, b = 4.5.
        let silhouette = f64::midpoint(4.5 / 5.5, 3.5 / 4.5);
        assert!((apart.emotion.silhouette.unwrap() - silhouette).abs() < 1e-6);
        assert!(apart.speaker.silhouette.unwrap() < 0.0);
        assert!((apart.emotion.chance_purity - 1.0 / 3.0).abs() < 1e-12);
        // With three other points all of them are neighbours.
        assert!((apart.emotion.purity - 1.0 / 3.0).abs() < 1e-12);
        let one = Space::of(&LINE).separation(&[0; 4], &[0, 1, 2, 3]);
        assert_eq!(one.emotion.silhouette, None);
        assert_eq!(one.emotion.purity, 1.0);
        assert_eq!(one.speaker.silhouette, Some(0.0));
    }

    #[test]
    fn names_are_numbered_in_their_order() {
        assert_eq!(numbered(["b", "a", "b", "c"].into_iter()), [1, 0, 1, 2]);
    }

    #[test]
    fn the_picture_repeats_and_keeps_clusters_apart() {
        let points: Vec<Vec<f32>> = (0..40)
            .map(|i| vec![if i < 20 { 0.0 } else { 50.0 }, (i % 20) as f32 / 10.0])
            .collect();
        let points: Vec<&[f32]> = points.iter().map(Vec::as_slice).collect();
        let first = project(&points).unwrap().unwrap();
        assert_eq!(first, project(&points).unwrap().unwrap());
        let flat: Vec<Vec<f32>> = first
            .iter()
            .map(|[x, y]| vec![*x as f32, *y as f32])
            .collect();
        let flat: Vec<&[f32]> = flat.iter().map(Vec::as_slice).collect();
        let groups: Vec<usize> = (0..40).map(|i| i / 20).collect();
        assert!(mean(Space::of(&flat).purities(&groups).into_iter()) > 0.95);
        assert!(project(&LINE).unwrap().is_none());
    }
}
