//! AMQP 0-9-1 as far as a proxy must read it: where a frame ends, and which of a few methods it holds.

use anyhow::{Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Larger frames than these nobody of ours agrees on.
const LARGEST: usize = 16 << 20;
/// The first byte of `AMQP\0\0\9\1`, which comes before all frames.
const GREETING: u8 = b'A';
/// The type of a frame with a method.
const METHOD: u8 = 1;

/// One frame as it came, its head and end included; or the greeting.
pub struct Frame {
    pub bytes: Vec<u8>,
}

/// The methods by which a moment is told. All are of the class `basic`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    Publish {
        exchange: String,
        key: String,
    },
    Deliver {
        channel: u16,
        tag: u64,
        key: String,
    },
    /// From a client: of a delivery. From the broker: the confirm of a publish.
    Ack {
        channel: u16,
        tag: u64,
        multiple: bool,
    },
}

impl Frame {
    /// Reads the next one. An error is the end of the connection.
    pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Self> {
        let mut bytes = vec![from.read_u8().await?];
        if bytes[0] == GREETING {
            bytes.resize(8, 0);
            from.read_exact(&mut bytes[1..]).await?;
            return Ok(Self { bytes });
        }
        bytes.resize(7, 0);
        from.read_exact(&mut bytes[1..]).await?;
        let size = u32::from_be_bytes([bytes[3], bytes[4], bytes[5], bytes[6]]) as usize;
        ensure!(size < LARGEST, "a frame of {size} bytes");
        bytes.resize(7 + size + 1, 0);
        from.read_exact(&mut bytes[7..]).await?;
        Ok(Self { bytes })
    }

    /// The method in it, where it is one that is known here.
    pub fn method(&self) -> Option<Method> {
        if self.bytes[0] != METHOD {
            return None;
        }
        let mut rest = Rest(self.bytes.get(1..self.bytes.len() - 1)?);
        let channel = rest.short()?;
        rest.take(4)?;
        match (rest.short()?, rest.short()?) {
            (60, 40) => {
                rest.short()?;
                Some(Method::Publish { exchange: rest.text()?, key: rest.text()? })
            }
            (60, 60) => {
                rest.text()?;
                let tag = rest.long()?;
                // Redelivered, and the exchange.
                rest.take(1)?;
                rest.text()?;
                Some(Method::Deliver { channel, tag, key: rest.text()? })
            }
            (60, 80) => {
                let tag = rest.long()?;
                Some(Method::Ack { channel, tag, multiple: rest.take(1)?[0] & 1 == 1 })
            }
            _ => None,
        }
    }
}

/// What is still to be read of a frame.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn long(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::from(self.take(1)?[0]);
        Some(String::from_utf8_lossy(self.take(length)?).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(channel: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![METHOD];
        bytes.extend(channel.to_be_bytes());
        bytes.extend((payload.len() as u32).to_be_bytes());
        bytes.extend(payload);
        bytes.push(0xCE);
        bytes
    }

    #[tokio::test]
    async fn frames_are_told_apart_and_their_methods_read() {
        let publish = [&[0, 60, 0, 40, 0, 0][..], b"\x02ex", b"\x03key", &[1]].concat();
        let deliver =
            [&[0, 60, 0, 60][..], b"\x03tag", &7_u64.to_be_bytes(), &[0], b"\x00", b"\x03key"].concat();
        let ack = [&[0, 60, 0, 80][..], &9_u64.to_be_bytes(), &[1]].concat();
        let heartbeat = [8, 0, 0, 0, 0, 0, 0, 0xCE];
        let stream = [
            &b"AMQP\x00\x00\x09\x01"[..],
            &frame(1, &publish),
            &frame(2, &deliver),
            &heartbeat,
            &frame(3, &ack),
            &frame(3, &[0, 20, 0, 10]),
        ]
        .concat();
        let mut stream = &stream[..];
        let mut methods = Vec::new();
        while let Ok(frame) = Frame::read(&mut stream).await {
            methods.push(frame.method());
        }
        let key = "key".to_owned();
        assert_eq!(
            methods,
            [
                None,
                Some(Method::Publish { exchange: "ex".to_owned(), key: key.clone() }),
                Some(Method::Deliver { channel: 2, tag: 7, key }),
                None,
                Some(Method::Ack { channel: 3, tag: 9, multiple: true }),
                None,
            ]
        );
    }
}
