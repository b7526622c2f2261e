//! Checks of the sample rate and channel count that a header or a request claims.

use super::AudioError;
use super::rates::SOURCE_RATES;

/// Checks `rate` (Hz). `origin` names in errors who claims it.
pub(super) fn check_rate(origin: &'static str, rate: u32) -> Result<(), AudioError> {
    if rate == 0 {
        return Err(AudioError::ZeroRate { origin });
    }
    if !SOURCE_RATES.contains(&rate) {
        return Err(AudioError::RateOutOfRange { origin, rate });
    }
    Ok(())
}

/// Returns `channels` if they are 1 to `limit`. `origin` names in errors who claims them.
pub(super) fn check_channels(
    origin: &'static str,
    channels: u32,
    limit: u16,
) -> Result<u16, AudioError> {
    match u16::try_from(channels) {
        Ok(0) => Err(AudioError::ZeroChannels { origin }),
        Ok(count) if count <= limit => Ok(count),
        _ => Err(AudioError::TooManyChannels {
            origin,
            channels,
            limit,
        }),
    }
}
