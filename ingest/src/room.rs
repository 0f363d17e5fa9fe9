//! The memory that events may take, all of them together. What finds no room is refused, not waited for.

use crate::parcel::ITEM_BYTES;
use carom_common::config::Ingest;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What one source may have of all the room: a quarter, but always enough for one event, however large it may be.
pub fn share(limits: &Ingest) -> usize {
    let all = limits.max_bytes_in_flight;
    (all / 4).max(limits.max_body_bytes).max(ITEM_BYTES).min(all)
}

/// There is no room for so many bytes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// All the room there is, in bytes. Clones share it.
#[derive(Clone, Debug)]
pub struct Rooms(Arc<Semaphore>);

impl Rooms {
    /// Room for `bytes`.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// Room for nothing yet. What it will be is taken of `share` as well.
    pub fn none(&self, share: &Self) -> Room {
        Room { of: [share.0.clone(), self.0.clone()], held: None }
    }

    /// How much is left, in bytes.
    pub fn left(&self) -> usize {
        self.0.available_permits()
    }
}

/// Room that is taken, until it is dropped.
#[derive(Debug)]
pub struct Room {
    of: [Arc<Semaphore>; 2],
    held: Option<[OwnedSemaphorePermit; 2]>,
}

impl Room {
    /// Makes sure that it is room for `bytes`. It never becomes smaller.
    ///
    /// # Errors
    /// There is not so much; it stays as it is.
    pub fn make(&mut self, bytes: usize) -> Result<(), Full> {
        let held = self.held.as_ref().map_or(0, |[held, _]| held.num_permits());
        let more = u32::try_from(bytes.saturating_sub(held)).map_err(|_| Full)?;
        if more == 0 {
            return Ok(());
        }
        let [share, all] = &self.of;
        let of_share = share.clone().try_acquire_many_owned(more).map_err(|_| Full)?;
        let of_all = all.clone().try_acquire_many_owned(more).map_err(|_| Full)?;
        match &mut self.held {
            Some([share, all]) => {
                share.merge(of_share);
                all.merge(of_all);
            }
            None => self.held = Some([of_share, of_all]),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_as_it_is_needed_and_free_again_when_it_is_dropped() {
        let rooms = Rooms::new(100);
        let share = Rooms::new(1_000);
        let mut one = rooms.none(&share);
        one.make(60).unwrap();
        one.make(40).unwrap();
        assert_eq!(rooms.left(), 40, "it does not become smaller, nor larger for less");
        let mut other = rooms.none(&share);
        assert_eq!(other.make(41), Err(Full));
        other.make(40).unwrap();
        assert_eq!(one.make(61), Err(Full));
        drop(one);
        other.make(100).unwrap();
        assert_eq!((rooms.left(), share.left()), (0, 900));
    }

    #[test]
    fn one_source_leaves_room_for_another() {
        let (rooms, first, second) = (Rooms::new(100), Rooms::new(25), Rooms::new(25));
        let mut one = rooms.none(&first);
        one.make(25).unwrap();
        assert_eq!(rooms.none(&first).make(1), Err(Full));
        let mut other = rooms.none(&second);
        other.make(20).unwrap();
        assert_eq!(rooms.left(), 55);
        let mut rest = rooms.none(&second);
        assert_eq!(rest.make(6), Err(Full));
        assert_eq!((second.left(), rooms.left()), (5, 55), "what is refused takes nothing");
        drop((one, other));
        assert_eq!((first.left(), second.left(), rooms.left()), (25, 25, 100));
    }

    #[test]
    fn a_share_always_has_room_for_one_event() {
        let mut limits = carom_common::config::Config::load(None).unwrap().ingest;
        assert_eq!(share(&limits), limits.max_bytes_in_flight / 4);
        limits.max_bytes_in_flight = 20 * 1024 * 1024;
        assert_eq!(share(&limits), ITEM_BYTES);
        limits.max_bytes_in_flight = 3_000;
        assert_eq!(share(&limits), 3_000);
    }
}
