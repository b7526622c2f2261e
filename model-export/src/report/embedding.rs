//! Representations of utterances: how far they keep groups apart, and a picture in two dimensions.
//!
//! The numbers are taken in the original space; t-SNE is for the eye only.

use std::collections::BTreeMap;

use anyhow::Result;
use bhtsne::tSNE;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use crate::evaluate::metrics::mean;

/// Neighbours that purity looks at.
const NEIGHBOURS: usize = 10;
/// t-SNE's perplexity where there are enough points for it.
const PERPLEXITY: f32 = 30.0;
/// Accuracy of the Barnes–Hut approximation.
const THETA: f32 = 0.5;
/// Seed of the points that t-SNE starts from.
const SEED: u64 = 4;

/// How far a space keeps emotions apart, and speakers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Separation {
    /// By emotion.
    pub emotion: Grouping,
    /// By speaker.
    pub speaker: Grouping,
}

/// How far a space keeps some groups apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Grouping {
    /// Mean silhouette, −1 to 1; `None` below two groups.
    pub silhouette: Option<f64>,
    /// Share of a point's ten nearest that are of its group.
    pub purity: f64,
    /// What that would be if points lay at random.
    pub chance_purity: f64,
}

/// The distances between points.
#[derive(Debug)]
pub struct Space(Vec<Vec<f32>>);

impl Space {
    /// That of some points.
    #[must_use]
    pub fn of(points: &[&[f32]]) -> Self {
        let row = |point: &&[f32]| points.iter().map(|other| distance(point, other)).collect();
        Self(points.iter().map(row).collect())
    }

    /// How far it keeps points apart that have a label and a speaker each.
    #[must_use]
    pub fn separation(&self, labels: &[usize], speakers: &[usize]) -> Separation {
        Separation {
            emotion: Grouping::of(self, labels),
            speaker: Grouping::of(self, speakers),
        }
    }

    /// Of each point, the share of its ten nearest that are of its group.
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

/// Rousseeuw's: (b − a) / max(a, b), a the mean distance to a point's own group, b to the nearest
/// other one; 0 for a point that is alone.
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

/// Names to numbers in the order of the names.
#[must_use]
pub fn numbered<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<usize> {
    let mut order: Vec<&str> = names.clone().collect();
    order.sort_unstable();
    order.dedup();
    names
        .map(|name| order.partition_point(|other| *other < name))
        .collect()
}

/// t-SNE in two dimensions; `None` for too few points to have neighbours.
///
/// One thread and a given start: sums in another order would move every point.
///
/// # Errors
/// If no thread can be had.
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
