//! `03-0C-EE-II-SS-RR-AA`, the shape of names that RAVDESS and BanglaSER share: audio only,
//! channel, emotion, intensity, statement, repetition, actor. Their codes differ, so the shape
//! never tells them apart.

use super::naming::{fields, numbered};

/// The fields that matter.
pub(super) struct Acted<'a> {
    pub(super) channel: &'a str,
    pub(super) emotion: &'a str,
    pub(super) actor: &'a str,
}

impl<'a> Acted<'a> {
    /// Reads a name whose statements, repetitions and actors count up to these numbers.
    pub(super) fn read(stem: &'a str, statements: u32, takes: u32, actors: u32) -> Option<Self> {
        let [
            modality,
            channel,
            emotion,
            intensity,
            statement,
            take,
            actor,
        ] = fields(stem, '-')?;
        let fits = modality == "03"
            && numbered(intensity, 2)
            && numbered(statement, statements)
            && numbered(take, takes)
            && numbered(actor, actors);
        fits.then_some(Self {
            channel,
            emotion,
            actor,
        })
    }
}
