//! The tenant to which the device time of a call is charged: the name in its metadata, otherwise its IP address.

use tonic::{Request, Status};

use crate::engine::{TENANT_NAME, TenantId, is_tenant_name};

/// The metadata with the name of the tenant.
const KEY: &str = "undertone-tenant";

/// Returns the tenant of a call. A call without a name and without a peer address gets the empty name.
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
    fn a_tenant_is_read_from_metadata_and_its_length_is_limited() {
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
