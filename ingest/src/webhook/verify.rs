//! Whether a request is its source's, by the signature over its raw bytes. It fails closed: where that
//! cannot be told, nothing is let in, and nobody is told that they are wrong either, because a sender that
//! is told 401 may give the event up.

use crate::index::Index;
use crate::metrics::Ingest;
use crate::problem::{Kind, Problem};
use carom_common::signature::Refusal;
use carom_common::source::Source;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;

/// Verifies the signature of a request to a source that is signed; any other source has none to verify.
///
/// # Errors
/// 401 where it is not the source's, 503 where that cannot be told.
pub fn verify(
    index: &Index,
    metrics: &Ingest,
    source: &Source,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), Problem> {
    if source.signature.is_none() {
        return Ok(());
    }
    let Some(signed) = index.signed(&source.id).filter(|signed| signed.readable > 0) else {
        return Err(unverifiable());
    };
    let values = |name: &str| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    match signed.verifier.verify(values, body, Timestamp::now()) {
        Ok(()) => Ok(()),
        // It may be the secret that cannot be read that it was signed with.
        Err(Refusal::SignatureMismatch) if signed.unreadable > 0 => Err(unverifiable()),
        Err(refusal) => {
            metrics.signature_refused(source.id.as_str(), refusal.reason());
            let kind = match refusal {
                Refusal::HeaderMissing(_) => Kind::SignatureMissing,
                Refusal::TimestampOld { .. } | Refusal::TimestampAhead { .. } => Kind::SignatureStale,
                _ => Kind::SignatureInvalid,
            };
            Err(Problem::new(kind, refusal.to_string()))
        }
    }
}

fn unverifiable() -> Problem {
    let detail = "Send the event again after the time that Retry-After gives. If you run this relay: see that \
                  carom-ingest can read the secrets of this source.";
    Problem::new(Kind::Unverifiable, detail)
}
