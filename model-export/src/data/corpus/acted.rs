//! `03-0C-EE-II-SS-RR-AA`, the form of names that RAVDESS and BanglaSER share: audio only,
//! channel, emotion, intensity, statement, repetition, actor. Their codes differ, but the form of a name does
//! not show which corpus it belongs to.

use super::naming::{fields, numbered};

/// The fields that are used.
pub(super) struct Acted<'a> {
    pub(super) channel: &'a str,
    pub(super) emotion: &'a str,
    pub(super) actor: &'a str,
}

impl<'a> Acted<'a> {
    /// Parses a name; the arguments are the largest numbers of statements, repetitions and actors.
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
