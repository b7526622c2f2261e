//! ITU-T G.711, the two 8-bit logarithmic codes of telephony: tables from codes to f32 (1.0 is 32,768).

/// Samples of µ-law (North America, Japan) by code.
pub(super) static MULAW: [f32; 256] = table(G711Law::Mu);

/// Samples of A-law (all other countries) by code.
pub(super) static ALAW: [f32; 256] = table(G711Law::A);

#[derive(Clone, Copy)]
enum G711Law {
    Mu,
    A,
}

const fn table(law: G711Law) -> [f32; 256] {
    let mut table = [0.0; 256];
    let mut code = 0;
    while code < 256 {
        let value = match law {
            G711Law::Mu => mulaw(code as u8),
            G711Law::A => alaw(code as u8),
        };
        table[code] = value as f32 / 32_768.0;
        code += 1;
    }
    table
}

/// Returns the 14-bit value of a µ-law code, scaled to 16 bits.
const fn mulaw(code: u8) -> i32 {
    /// Coders add this, so that each segment is twice as wide as the one below.
    const BIAS: i32 = 0x84;
    let code = !code;
    let mantissa = ((code & 0x0f) as i32) << 3;
    let magnitude = ((mantissa + BIAS) << ((code & 0x70) >> 4)) - BIAS;
    if code & 0x80 != 0 {
        -magnitude
    } else {
        magnitude
    }
}

/// Returns the 13-bit value of an A-law code, scaled to 16 bits.
const fn alaw(code: u8) -> i32 {
    let code = code ^ 0x55;
    let mantissa = ((code & 0x0f) as i32) << 4;
    let magnitude = match (code & 0x70) >> 4 {
        0 => mantissa + 8,
        segment => (mantissa + 0x108) << (segment - 1),
    };
    if code & 0x80 != 0 {
        magnitude
    } else {
        -magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_expand_as_in_the_recommendation() {
        // Decoder output values at the ends of segments, G.711 tables 1 and 2, in 16 bits.
        let mulaw_cases = [
            (0xff, 0),
            (0x7f, 0),
            (0xfe, 8),
            (0x7e, -8),
            (0xef, 132),
            (0xdf, 396),
            (0xcf, 924),
            (0xbf, 1_980),
            (0xaf, 4_092),
            (0x9f, 8_316),
            (0x8f, 16_764),
            (0x80, 32_124),
            (0x00, -32_124),
        ];
        for (code, value) in mulaw_cases {
            assert_eq!(mulaw(code), value, "µ-law {code:#04x}");
            assert_eq!(MULAW[usize::from(code)], value as f32 / 32_768.0);
        }
        let alaw_cases = [
            (0xd5, 8),
            (0x55, -8),
            (0xd4, 24),
            (0xc5, 264),
            (0xf5, 528),
            (0xe5, 1_056),
            (0x95, 2_112),
            (0x85, 4_224),
            (0xb5, 8_448),
            (0xa5, 16_896),
            (0xaa, 32_256),
            (0x2a, -32_256),
        ];
        for (code, value) in alaw_cases {
            assert_eq!(alaw(code), value, "A-law {code:#04x}");
            assert_eq!(ALAW[usize::from(code)], value as f32 / 32_768.0);
        }
    }

    #[test]
    fn every_code_but_one_zero_is_distinct() {
        for (name, table, distinct) in [("µ-law", &MULAW, 255), ("A-law", &ALAW, 256)] {
            let mut values: Vec<i32> = table.iter().map(|x| (x * 32_768.0) as i32).collect();
            values.sort_unstable();
            values.dedup();
            assert_eq!(values.len(), distinct, "{name}");
        }
    }
}
