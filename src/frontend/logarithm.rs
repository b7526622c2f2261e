//! Natural logarithms of many values with vector instructions.
//!
//! The standard library computes one logarithm at a time, which took two fifths of the front end's time. This
//! code does not fuse products with sums, so vectors of any width give the same bits on every processor.

use multiversion::multiversion;

/// ln 2 in two parts. The first has so few bits that its product with an exponent is exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// (ln(1 + x) − x + x²/2) / x³ for 1 + x from √½ to √2, the highest power first (Moshier, Cephes, logf).
const SERIES: [f32; 9] = [
    7.037_683_6e-2,
    -1.151_461e-1,
    1.167_699_9e-1,
    -1.242_014_1e-1,
    1.424_932_3e-1,
    -1.666_805_7e-1,
    2.000_071_4e-1,
    -2.499_999_4e-1,
    0.333_333_3,
];

/// Replaces each value by its natural logarithm. The values must be positive and normal. The error is at most
/// two units in the last place, and at most 1.2e−8 for values close to 1.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn logarithms(values: &mut [f32]) {
    for value in values {
        *value = logarithm(*value);
    }
}

#[inline(always)]
fn logarithm(value: f32) -> f32 {
    let bits = value.to_bits();
    // value = 2^e · (1 + x) with 1 + x from √½ to √2.
    let exponent = bits.wrapping_sub(std::f32::consts::FRAC_1_SQRT_2.to_bits()) as i32 >> 23;
    let x = f32::from_bits(bits.wrapping_sub((exponent << 23) as u32)) - 1.0;
    let exponent = exponent as f32;
    let series = SERIES.iter().fold(0.0, |sum, factor| sum * x + factor);
    let square = x * x;
    let [high, low] = LN_2.map(|part| part * exponent);
    (x + (series * x * square + low - 0.5 * square)) + high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_of_every_power_is_accurate() {
        // Every 97th value from the power floor to a power beyond that of any sound.
        let (floor, most) = (super::super::POWER_FLOOR.to_bits(), 1e3_f32.to_bits());
        let powers: Vec<f32> = (floor..most).step_by(97).map(f32::from_bits).collect();
        let mut found = powers.clone();
        logarithms(&mut found);
        for (power, found) in powers.iter().zip(found) {
            let expected = f64::from(*power).ln();
            let error = (f64::from(found) - expected).abs();
            assert!(
                error <= 1.2e-7 * expected.abs().max(0.1),
                "ln {power}: {found}"
            );
        }
    }

    #[test]
    fn a_single_value_and_a_vector_give_the_same_bits() {
        let powers: Vec<f32> = (1..1_000).map(|i| 1e-10 + 1e-6 * i as f32).collect();
        let mut together = powers.clone();
        logarithms(&mut together);
        for (power, together) in powers.into_iter().zip(together) {
            let mut alone = [power];
            logarithms(&mut alone);
            assert_eq!(alone, [together]);
        }
    }
}
