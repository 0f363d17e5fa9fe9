//! An item on its way: its bytes as they stand on the wire, and the room in memory that they take.

use crate::room::Room;
use carom_common::envelope::{self, Item};
use std::sync::Arc;

/// RabbitMQ 4 refuses messages of 16 MiB and more, and closes the channel over one. The envelope takes some
/// of that.
pub const ITEM_BYTES: usize = 15 * 1024 * 1024;

/// Why an item cannot be on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// No message can be as large.
    TooLarge,
    /// There is no memory for it now.
    NoRoom,
}

/// An item, written once. The line, the spool and whoever waits share it; its room is free again when the
/// last of them has let go.
#[derive(Clone, Debug)]
pub struct Parcel(Arc<Written>);

#[derive(Debug)]
struct Written {
    bytes: Vec<u8>,
    _room: Option<Room>,
}

impl Parcel {
    /// Writes an item, which takes room where it is given any.
    ///
    /// # Errors
    /// It is too large for a message, or for the room that is left.
    pub fn new<T: Item>(item: &T, room: Option<Room>) -> Result<Self, Unfit> {
        let bytes = envelope::item(item);
        if bytes.len() > ITEM_BYTES {
            return Err(Unfit::TooLarge);
        }
        let room = room.map(|mut room| room.make(bytes.len()).map(|()| room)).transpose();
        let room = room.map_err(|_| Unfit::NoRoom)?;
        Ok(Self(Arc::new(Written { bytes, _room: room })))
    }
}

impl AsRef<[u8]> for Parcel {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}
