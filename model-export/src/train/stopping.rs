//! Early stopping: keeps the averaged weights of the epoch that is best on the validation speakers.
//!
//! The best epoch has the highest UA and, among equal ones, the lowest log loss: a fold's few validation speakers
//! give few distinct values of UA. The state is in every checkpoint, so a resumed run stops at the same epoch as
//! an uninterrupted one. Test speakers are never used. The figures of the validation speakers become too high.

use std::path::Path;

use anyhow::{Context, Result};
use burn::module::Module;
use burn::store::ModuleRecord;

use crate::evaluate::metrics::negative_log_likelihood;
use crate::model::backend;
use crate::model::network::Network;
use crate::preset::Preset;
use crate::train::prediction::{Prediction, unweighted_accuracy};

/// Weights of the best epoch, in a checkpoint.
const WEIGHTS: &str = "best.bpk";
/// The best epoch's score, in a checkpoint.
const SCORE: &str = "best";

/// The result of an epoch on the validation speakers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Unweighted accuracy.
    pub ua: f64,
    /// Mean negative log-likelihood.
    pub loss: f64,
}

/// The best epoch of a run so far.
#[derive(Debug)]
pub struct Stopping {
    patience: usize,
    best: Option<(Score, Network)>,
}

impl Score {
    /// Computes the score of an epoch.
    pub fn of(epoch: usize, predictions: &[Prediction]) -> Self {
        let logits: Vec<_> = predictions.iter().map(|p| p.logits.clone()).collect();
        let labels: Vec<_> = predictions.iter().map(|p| p.label).collect();
        Self {
            epoch,
            ua: unweighted_accuracy(predictions),
            loss: negative_log_likelihood(&logits, &labels, 1.0),
        }
    }

    fn beats(&self, other: &Self) -> bool {
        self.ua > other.ua || (self.ua == other.ua && self.loss < other.loss)
    }
}

impl Stopping {
    /// Stops after `patience` epochs without a better one; never if it is 0.
    pub fn new(patience: usize) -> Self {
        Self {
            patience,
            best: None,
        }
    }

    /// Resumes from a checkpoint's files.
    ///
    /// # Errors
    /// If they cannot be read or belong to another preset.
    pub fn resume(preset: &Preset, classes: usize, folder: &Path) -> Result<Self> {
        let patience = preset.training.patience;
        let path = folder.join(SCORE);
        if patience == 0 || !path.exists() {
            return Ok(Self::new(patience));
        }
        let text = std::fs::read_to_string(&path)?;
        let score = parse(&text).with_context(|| {
            format!(
                "{} is not a score; remove the run folder and start again",
                path.display()
            )
        })?;
        let weights = Network::new(preset, classes, &backend::device())
            .try_load_record(ModuleRecord::load(folder.join(WEIGHTS))?)?;
        Ok(Self {
            patience,
            best: Some((score, weights)),
        })
    }

    /// Records the score and the weights of an epoch.
    pub fn observe(&mut self, score: Score, weights: &Network) {
        let better = match &self.best {
            Some((best, _)) => score.beats(best),
            None => true,
        };
        if self.patience > 0 && better {
            // A clone would share the normalisations' running statistics, which training changes.
            self.best = Some((score, weights.valid()));
        }
    }

    /// Whether to stop after this many epochs.
    pub fn stops_after(&self, epochs: usize) -> bool {
        self.patience > 0
            && (self.best.as_ref()).is_some_and(|(best, _)| epochs >= best.epoch + self.patience)
    }

    /// Writes a checkpoint's files.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let Some((Score { epoch, ua, loss }, weights)) = &self.best else {
            return Ok(());
        };
        weights.clone().into_record().save(folder.join(WEIGHTS))?;
        // Rust writes decimal digits that are parsed to the same bits.
        std::fs::write(folder.join(SCORE), format!("{epoch} {ua} {loss}"))?;
        Ok(())
    }

    /// Returns the best epoch and its weights; `None` if the patience is 0.
    pub fn best(self) -> Option<(Score, Network)> {
        self.best
    }
}

fn parse(text: &str) -> Option<Score> {
    let mut fields = text.split(' ');
    Some(Score {
        epoch: fields.next()?.parse().ok()?,
        ua: fields.next()?.parse().ok()?,
        loss: fields.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn score(epoch: usize, ua: f64, loss: f64) -> Score {
        Score { epoch, ua, loss }
    }

    #[test]
    fn the_best_epoch_counts_and_its_weights_survive_a_checkpoint() {
        let mut preset = Preset::load("default").unwrap();
        preset.training.patience = 3;
        let network = || Network::new(&preset, 4, &Device::flex());
        let bias = |network: &Network| crate::model::values(network.fusion.weight.val());
        let networks = [network(), network(), network(), network()];
        let mut stopping = Stopping::new(3);
        stopping.observe(score(1, 0.5, 1.1), &networks[0]);
        stopping.observe(score(2, 0.5, 0.1 + 0.2), &networks[1]);
        stopping.observe(score(3, 0.5, 0.9), &networks[2]);
        assert!(!stopping.stops_after(4) && stopping.stops_after(5));

        let folder = tempfile::tempdir().unwrap();
        stopping.save(folder.path()).unwrap();
        let mut resumed = Stopping::resume(&preset, 4, folder.path()).unwrap();
        resumed.observe(score(4, 0.5, 0.1 + 0.2), &networks[3]);
        assert!(!resumed.stops_after(4) && resumed.stops_after(5));
        let (best, weights) = resumed.best().unwrap();
        assert_eq!(best, score(2, 0.5, 0.1 + 0.2));
        assert_eq!(bias(&weights), bias(&networks[1]));
        assert_ne!(bias(&weights), bias(&networks[3]));
    }

    #[test]
    fn the_best_weights_keep_their_own_running_statistics() {
        let preset = Preset::load("default").unwrap();
        let network = Network::new(&preset, 4, &Device::flex());
        let variance =
            |network: &Network| crate::model::values(network.norm.running_var.value_sync());
        let before = variance(&network);
        let mut stopping = Stopping::new(3);
        stopping.observe(score(1, 0.5, 1.0), &network);
        let later = network.norm.running_var.value() * 2.0;
        network.norm.running_var.update(later);
        assert_ne!(variance(&network), before);
        let (_, best) = stopping.best().unwrap();
        assert_eq!(variance(&best), before);
    }

    #[test]
    fn without_patience_nothing_is_kept() {
        let preset = Preset::load("default").unwrap();
        let mut stopping = Stopping::new(0);
        let network = Network::new(&preset, 4, &Device::flex());
        stopping.observe(score(1, 0.5, 1.0), &network);
        assert!(!stopping.stops_after(1_000));
        assert!(stopping.best().is_none());
    }
}
