//! Tests whether two systems differ by more than chance on the same utterances.

use serde::Serialize;

/// The test is exact if fewer utterances than this are correct in exactly one system.
const EXACT_BELOW: u64 = 25;

/// The result of McNemar's test.
///
/// The test assumes independent utterances, but those of one speaker are not independent. Read it only together
/// with an interval over speakers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct McNemar {
    /// Utterances that only the first system classified correctly.
    pub first_only: u64,
    /// Utterances that only the second system classified correctly.
    pub second_only: u64,
    /// Probability of a division at least as uneven if neither system is better; two-sided.
    pub p: f64,
    /// Whether p is the exact binomial one (fewer than 25 such utterances), or from χ² with
    /// continuity correction.
    pub exact: bool,
}

/// Applies McNemar's test to whether the first and the second system are correct on each utterance.
#[must_use]
pub fn mcnemar(predictions: impl IntoIterator<Item = (bool, bool)>) -> McNemar {
    let (mut first_only, mut second_only) = (0u64, 0u64);
    for prediction in predictions {
        match prediction {
            (true, false) => first_only += 1,
            (false, true) => second_only += 1,
            _ => {}
        }
    }
    let count = first_only + second_only;
    let exact = count < EXACT_BELOW;
    let p = if exact {
        2.0 * binomial_tail(first_only.min(second_only), count)
    } else {
        let distance = first_only.abs_diff(second_only).saturating_sub(1) as f64;
        // The survival function of χ² with one degree of freedom.
        libm::erfc((distance * distance / count as f64 / 2.0).sqrt())
    };
    McNemar {
        first_only,
        second_only,
        p: p.min(1.0),
        exact,
    }
}

/// Computes the probability of at most `heads` heads in `tosses` of a fair coin.
fn binomial_tail(heads: u64, tosses: u64) -> f64 {
    let mut ways = 1.0;
    let mut sum = 0.0;
    for head in 0..=heads {
        sum += ways;
        ways *= (tosses - head) as f64 / (head + 1) as f64;
    }
    sum / 2f64.powi(tosses as i32)
}

/// Applies Holm's correction to the p values of several comparisons, in the given order. At any significance level,
/// the probability of even one wrong rejection among all comparisons stays below that level.
#[must_use]
pub fn holm(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut corrected = vec![0.0; values.len()];
    let mut highest = 0.0f64;
    for (rank, &place) in order.iter().enumerate() {
        let factor = (values.len() - rank) as f64;
        highest = highest.max((factor * values[place]).min(1.0));
        corrected[place] = highest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discordant(first_only: usize, second_only: usize) -> McNemar {
        let first = std::iter::repeat_n((true, false), first_only);
        let second = std::iter::repeat_n((false, true), second_only);
        let both = [(true, true), (false, false)];
        mcnemar(first.chain(second).chain(both))
    }

    #[test]
    fn many_discordant_pairs_give_the_published_chi_square_value() {
        // The example of mlxtend's documentation: χ² 2.025, p 0.154728923485.
        let test = discordant(25, 15);
        assert_eq!(
            (test.first_only, test.second_only, test.exact),
            (25, 15, false)
        );
        assert!((test.p - 0.154_728_923_485).abs() < 1e-9, "{}", test.p);
    }

    #[test]
    fn few_discordant_pairs_are_counted_exactly() {
        // 2 · (1 + 9) / 2⁹, and 2 · (1 + 12) / 2¹².
        assert!((discordant(1, 8).p - 20.0 / 512.0).abs() < 1e-12);
        assert!((discordant(11, 1).p - 26.0 / 4096.0).abs() < 1e-12);
        assert_eq!(discordant(5, 5).p, 1.0);
        assert_eq!(discordant(0, 0).p, 1.0);
        assert!(discordant(12, 12).exact);
        assert!(!discordant(13, 12).exact);
    }

    #[test]
    fn holm_agrees_with_the_p_adjust_of_r() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (value, expected) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((value - expected).abs() < 1e-12, "{corrected:?}");
        }
        assert_eq!(holm(&[0.8, 0.9]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
