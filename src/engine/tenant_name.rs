//! Which names a tenant can have: the same for those that a call gives and those that the configuration weights.

/// Longest name of a tenant, in characters.
const LONGEST: usize = 64;

/// What [`is_tenant_name`] accepts, for messages. HTTP drops blanks around a header's value, so that a name with
/// blanks could change on its way.
pub const TENANT_NAME: &str = "1 to 64 visible ASCII characters without blanks";

/// Whether a tenant can have this name.
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
    fn a_name_is_short_and_visible() {
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
