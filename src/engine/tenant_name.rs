//! The names that a tenant can have, in a request or in the table of weights.

/// Most characters in the name of a tenant.
const LONGEST: usize = 64;

/// Describes the names that [`is_tenant_name`] accepts, for error messages. Blanks are excluded because HTTP
/// removes blanks around a header's value, which would change the name.
pub const TENANT_NAME: &str = "1 to 64 visible ASCII characters without blanks";

/// Returns whether a tenant can have this name.
///
/// # Example
/// ```
/// use undertone::engine::is_tenant_name;
///
/// assert!(is_tenant_name("acme") && is_tenant_name("10.0.0.1"));
/// assert!(!is_tenant_name("") && !is_tenant_name("acme corp"));
/// ```
#[must_use]
pub fn is_tenant_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_64_visible_characters() {
        let longest = "x".repeat(LONGEST);
        for name in ["a", "!~", "10.0.0.1", "::1", &longest] {
            assert!(is_tenant_name(name), "{name}");
        }
        let too_long = "x".repeat(LONGEST + 1);
        for name in ["", " ", "a b", "a\t", "caf\u{e9}", "\x7f", &too_long] {
            assert!(!is_tenant_name(name), "{name}");
        }
        assert!(TENANT_NAME.contains(&LONGEST.to_string()));
    }
}
