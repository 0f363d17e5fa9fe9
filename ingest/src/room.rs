//! The memory that events may take, all of them together. What finds no room is refused, not waited for.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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

    /// Room for nothing yet.
    pub fn none(&self) -> Room {
        Room { all: self.0.clone(), held: None }
    }

    /// How much is left, in bytes.
    pub fn left(&self) -> usize {
        self.0.available_permits()
    }
}

/// Room that is taken, until it is dropped.
#[derive(Debug)]
pub struct Room {
    all: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Makes sure that it is room for `bytes`. It never becomes smaller.
    ///
    /// # Errors
    /// There is not so much; it stays as it is.
    pub fn make(&mut self, bytes: usize) -> Result<(), Full> {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(bytes.saturating_sub(held)).map_err(|_| Full)?;
        if more == 0 {
            return Ok(());
        }
        let more = self.all.clone().try_acquire_many_owned(more).map_err(|_| Full)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
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
        let mut one = rooms.none();
        one.make(60).unwrap();
        one.make(40).unwrap();
        assert_eq!(rooms.left(), 40, "it does not become smaller, nor larger for less");
        let mut other = rooms.none();
        assert_eq!(other.make(41), Err(Full));
        other.make(40).unwrap();
        assert_eq!(one.make(61), Err(Full));
        drop(one);
        other.make(100).unwrap();
        assert_eq!(rooms.left(), 0);
    }
}
