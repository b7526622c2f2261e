//! A part of a recording, by its times.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// From `start` to `end`, or to the end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Counted from the first sample.
    pub start: Duration,
    /// Later than `start`.
    pub end: Option<Duration>,
}

impl Span {
    /// Parses the two times of a table row; `None` is the whole file.
    ///
    /// A time is seconds (`1.5`), `00:00:01.500000` or `0 days 00:00:01.500000`. An empty text or `NaT`
    /// is the start or end of the file.
    ///
    /// # Errors
    /// If a text is not a time, or the end is not after the start.
    pub fn parse(start: &str, end: &str) -> Result<Option<Self>> {
        let start_time = time(start)?.unwrap_or_default();
        let end_time = time(end)?;
        if start_time.is_zero() && end_time.is_none() {
            return Ok(None);
        }
        ensure!(
            end_time.is_none_or(|end| end > start_time),
            "the end `{end}` is not after the start `{start}`"
        );
        Ok(Some(Self {
            start: start_time,
            end: end_time,
        }))
    }
}

fn time(text: &str) -> Result<Option<Duration>> {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("nat") || text.eq_ignore_ascii_case("nan") {
        return Ok(None);
    }
    let wrong = || format!("`{text}` is not a time; write 1.5 or `0 days 00:00:01.500000`");
    let (days, clock) = match text.split_once(" days") {
        Some((days, clock)) => (number(days).with_context(wrong)?, clock.trim()),
        None => (0.0, text),
    };
    let mut seconds = 0.0;
    let parts: Vec<&str> = clock.split(':').collect();
    // The clock time after `N days` may be missing.
    if !clock.is_empty() {
        if parts.len() != 1 && parts.len() != 3 {
            bail!(wrong());
        }
        for part in parts {
            seconds = seconds * 60.0 + number(part).with_context(wrong)?;
        }
    }
    let time = Duration::try_from_secs_f64(days * 86_400.0 + seconds).with_context(wrong)?;
    Ok(Some(time))
}

fn number(text: &str) -> Result<f64> {
    let number: f64 = text.trim().parse()?;
    ensure!(number >= 0.0, "it is below zero");
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_tables_write_them() {
        let span = |start: u64, end: Option<u64>| {
            Some(Span {
                start: Duration::from_millis(start),
                end: end.map(Duration::from_millis),
            })
        };
        for (start, end, expected) in [
            ("", "", None),
            ("0", "", None),
            ("0 days", "NaT", None),
            ("0 days 00:00:00", "", None),
            ("0 days 00:00:01.500000", "", span(1_500, None)),
            (
                "0 days 00:00:01.500000",
                "0 days 00:01:02",
                span(1_500, Some(62_000)),
            ),
            ("1 days 00:00:01", "", span(86_401_000, None)),
            ("00:00:01.25", "2.5", span(1_250, Some(2_500))),
            ("", "1.5", span(0, Some(1_500))),
        ] {
            assert_eq!(
                Span::parse(start, end).unwrap(),
                expected,
                "{start} to {end}"
            );
        }
        for (start, end, message) in [
            (
                "abc",
                "",
                "`abc` is not a time; write 1.5 or `0 days 00:00:01.500000`",
            ),
            (
                "1:2",
                "",
                "`1:2` is not a time; write 1.5 or `0 days 00:00:01.500000`",
            ),
            (
                "-1",
                "",
                "`-1` is not a time; write 1.5 or `0 days 00:00:01.500000`",
            ),
            ("2", "1.5", "the end `1.5` is not after the start `2`"),
            ("", "0", "the end `0` is not after the start ``"),
        ] {
            let error = Span::parse(start, end).unwrap_err().to_string();
            assert_eq!(error, message);
        }
    }
}
