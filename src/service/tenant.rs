//! Whose share of the device a call is charged to: what its metadata says, else its peer.

use tonic::{Request, Status};

use crate::engine::{TENANT_NAME, TenantId, is_tenant_name};

/// Metadata by which a caller names its tenant.
const KEY: &str = "undertone-tenant";

/// The tenant of a call. Calls from within this process have none of their own.
pub(super) fn of<T>(request: &Request<T>) -> Result<TenantId, Status> {
    if let Some(name) = request.metadata().get(KEY) {
        let named = name.to_str().ok().filter(|name| is_tenant_name(name));
        return named.map(TenantId::from).ok_or_else(|| {
            Status::invalid_argument(format!("metadata `{KEY}` must be {TENANT_NAME}"))
        });
    }
    let peer = request
        .remote_addr()
        .map(|address| address.ip().to_string());
    Ok(TenantId::from(peer.as_deref().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_from_metadata_and_bounded() {
        let mut request = Request::new(());
        assert_eq!(of(&request).unwrap(), TenantId::from(""));
        request.metadata_mut().insert(KEY, "acme".parse().unwrap());
        assert_eq!(of(&request).unwrap(), TenantId::from("acme"));
        for name in [&"x".repeat(65), "", "acme corp"] {
            request.metadata_mut().insert(KEY, name.parse().unwrap());
            assert!(of(&request).unwrap_err().message().contains(TENANT_NAME));
        }
    }
}
