//! Selective classification: the share of mistakes if the system abstains from its least confident predictions.

/// The risk–coverage curve, and the area below it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RiskCoverage {
    /// (coverage, risk): the share of predictions that are given, the most confident first, and the share
    /// of mistakes among them. One point per distinct confidence.
    pub points: Vec<(f64, f64)>,
    /// AURC: the mean risk over all coverages, 0 to 1; lower is better. If confidence is
    /// unrelated to correctness, this is the error rate.
    pub area: f64,
}

/// Computes the risk–coverage curve of predictions given as (confidence, correct).
///
/// Predictions of equal confidence have no order: their mistakes are spread evenly.
#[must_use]
pub fn risk_coverage(predictions: &[(f32, bool)]) -> RiskCoverage {
    let mut sorted = predictions.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let count = sorted.len() as f64;
    let (mut given, mut mistakes, mut sum) = (0.0, 0.0, 0.0);
    let mut points = Vec::new();
    for equals in sorted.chunk_by(|a, b| a.0 == b.0) {
        let wrong = equals.iter().filter(|(_, right)| !right).count() as f64;
        for place in 1..=equals.len() {
            let so_far = mistakes + wrong * place as f64 / equals.len() as f64;
            sum += so_far / (given + place as f64);
        }
        given += equals.len() as f64;
        mistakes += wrong;
        points.push((given / count, mistakes / given));
    }
    RiskCoverage {
        points,
        area: sum / count.max(1.0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_area_agrees_with_a_calculation_by_hand() {
        let curve = risk_coverage(&[(0.7, true), (0.9, true), (0.8, false)]);
        // Risks 0, 1/2, 1/3 at coverages 1/3, 2/3, 1.
        assert!((curve.area - 5.0 / 18.0).abs() < 1e-12);
        assert_eq!(curve.points[0], (1.0 / 3.0, 0.0));
        assert_eq!(curve.points[2], (1.0, 1.0 / 3.0));
        assert_eq!(risk_coverage(&[]), RiskCoverage::default());
    }

    proptest! {
        #![proptest_config(replay::defaults())]

        #[test]
        fn equal_confidence_is_worth_the_error_rate_in_any_order(
            rights in prop::collection::vec(any::<bool>(), 1..30),
        ) {
            let predictions: Vec<_> = rights.iter().map(|&right| (0.5, right)).collect();
            let wrong = rights.iter().filter(|right| !**right).count() as f64;
            let curve = risk_coverage(&predictions);
            prop_assert_eq!(curve.points.len(), 1);
            prop_assert!((curve.area - wrong / rights.len() as f64).abs() < 1e-9);
        }
    }
}
