//! Reading a request's body: never more than allowed, never longer than allowed.

use crate::problem::{Kind, Problem};
use crate::room::Room;
use axum::body::Body;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How much of a refused body is read and thrown away, so that its sender gets to read the refusal.
const LINGER_BYTES: usize = 32 * 1024 * 1024;

/// Whether a body says of itself that it is larger than `most`.
///
/// # Errors
/// It does.
pub fn admit(body: &Body, most: usize) -> Result<(), Problem> {
    if body.size_hint().lower() > most as u64 { Err(too_large(most)) } else { Ok(()) }
}

/// Reads a body of at most `most` bytes within `patience`, and makes room for it before it does.
///
/// # Errors
/// It is larger, slower or incomplete, or there is no room.
pub async fn read(
    mut body: Body,
    most: usize,
    patience: Duration,
    room: &mut Room,
) -> Result<Vec<u8>, Problem> {
    let deadline = Instant::now() + patience;
    let said = usize::try_from(body.size_hint().lower()).map_or(most, |said| said.min(most));
    if room.make(said).is_err() {
        discard(body, patience);
        return Err(busy());
    }
    let mut bytes = Vec::with_capacity(said);
    loop {
        let Ok(frame) = timeout_at(deadline, body.frame()).await else {
            let detail = format!("Send the whole body within {} seconds.", patience.as_secs_f32());
            return Err(Problem::new(Kind::BodyTooSlow, detail));
        };
        match frame {
            None => return Ok(bytes),
            Some(Err(_)) => {
                return Err(Problem::new(Kind::BodyIncomplete, "The body broke off. Send the event again."));
            }
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    if bytes.len() + data.len() > most {
                        discard(body, patience);
                        return Err(too_large(most));
                    }
                    if room.make(bytes.len() + data.len()).is_err() {
                        discard(body, patience);
                        return Err(busy());
                    }
                    bytes.extend_from_slice(data);
                }
            }
        }
    }
}

/// There is no place, or no room, for another event now.
pub fn busy() -> Problem {
    Problem::new(Kind::TooBusy, "Send the event again after a moment.")
}

fn too_large(most: usize) -> Problem {
    let detail = format!(
        "Send at most {most} bytes. The operator of this relay sets the limit (ingest.max_body_bytes)."
    );
    Problem::new(Kind::BodyTooLarge, detail)
}

/// Reads what is left of a body that is refused unread, and throws it away. A connection that is closed
/// with bytes unread is reset, and then its client may never see why. It ends with the body, the
/// connection or the patience, whichever comes first, and is bounded by the number of connections.
fn discard(mut body: Body, patience: Duration) {
    if body.is_end_stream() {
        return;
    }
    let deadline = Instant::now() + patience;
    tokio::spawn(async move {
        let mut left = LINGER_BYTES;
        while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
            match left.checked_sub(frame.data_ref().map_or(0, |data| data.len())) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    });
}

/// Discards the body of a request that is refused by its head, unless its sender waits for leave to send it.
pub fn discard_unasked(body: Body, headers: &HeaderMap, patience: Duration) {
    if !headers.contains_key(header::EXPECT) {
        discard(body, patience);
    }
}
