//! The property that must hold for any request that reaches the service. The fuzz target `request` and the tests below
//! check it; it is compiled for these only.

use std::sync::LazyLock;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message as _;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status};

use super::{deadline, messages, pb, tenant};
use crate::bundle::{Manifest, embedded, names};
use crate::decision::SHORTEST_WINDOW;
use crate::engine::{Caller, Class};

#[allow(clippy::expect_used, reason = "this is a test")]
static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| {
    let files = embedded::files();
    let manifest = files.get(names::MANIFEST).map(Manifest::parse);
    manifest
        .expect("the embedded bundle has a manifest")
        .expect("the embedded manifest is valid")
});

/// Checks that any metadata and message are translated, or refused with a message that names the field or the rule.
///
/// Input: length and bytes of `undertone-tenant`, length and bytes of `grpc-timeout`, then a `BatchClassifyRequest`. A
/// length of 0 means that the header is absent.
///
/// # Panics
/// If the property does not hold.
pub fn holds(data: &[u8]) {
    let mut headers = HeaderMap::new();
    let rest = header(&mut headers, "undertone-tenant", data);
    let rest = header(&mut headers, "grpc-timeout", rest);
    let timeout = deadline::timeout(&headers);
    assert!(timeout.is_none() || headers.contains_key("grpc-timeout"));

    let mut request = Request::new(());
    *request.metadata_mut() = MetadataMap::from_headers(headers);
    let tenant = match tenant::of(&request) {
        Ok(tenant) => tenant,
        Err(status) => return check_refusal(&status, &[Code::InvalidArgument]),
    };
    assert!(tenant.0.len() <= 64);

    let Ok(message) = pb::BatchClassifyRequest::decode(rest) else {
        return;
    };
    let again = pb::BatchClassifyRequest::decode(&*message.encode_to_vec());
    assert!(
        again.is_ok(),
        "a decoded message can be encoded and decoded"
    );
    let caller = Caller {
        tenant,
        class: Class::Bulk,
        deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
    };
    let request = message.request.unwrap_or_default();
    let timeline = request.options.as_ref().is_some_and(|o| o.timeline);
    match messages::request(request, &MANIFEST, caller) {
        Ok(request) => {
            assert_eq!(request.window.is_some(), timeline);
            assert!(
                request
                    .window
                    .is_none_or(|window| window >= SHORTEST_WINDOW)
            );
        }
        Err(status) => check_refusal(&status, &[Code::InvalidArgument, Code::NotFound]),
    }
}

fn header<'d>(headers: &mut HeaderMap, name: &'static str, data: &'d [u8]) -> &'d [u8] {
    let Some((&length, rest)) = data.split_first() else {
        return data;
    };
    let (value, rest) = rest.split_at(rest.len().min(length.into()));
    if let (true, Ok(value)) = (length > 0, HeaderValue::from_bytes(value)) {
        headers.insert(HeaderName::from_static(name), value);
    }
    rest
}

fn check_refusal(status: &Status, codes: &[Code]) {
    assert!(codes.contains(&status.code()), "{status}");
    assert!(status.message().len() > 10, "{status}");
    let item = messages::batch_error(status);
    assert_eq!(item.message, status.message());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seeds() -> Vec<(String, Vec<u8>)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/request");
        let mut seeds: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
            .collect();
        seeds.sort();
        assert!(seeds.len() > 5);
        seeds
    }

    #[test]
    fn the_property_holds_for_the_seeds() {
        for (name, seed) in seeds() {
            println!("{name}");
            holds(&seed);
        }
    }

    proptest! {
        #![proptest_config(replay::defaults())]

        #[test]
        fn the_property_holds_for_damaged_seeds(
            (_, seed) in prop::sample::select(seeds()),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..6),
        ) {
            let mut data = seed;
            for (place, byte, change) in changes {
                let at = place.index(data.len() + 1);
                match change {
                    0 => data.insert(at, byte),
                    1 => { data.splice(at..(at + 1).min(data.len()), []); }
                    _ => { data.splice(at..(at + 1).min(data.len()), [byte]); }
                }
            }
            holds(&data);
        }
    }
}
