//! Dedupe: who holds an event's marker, and what that means for this intake (guarantee G3).

use crate::id::EventId;
use crate::store::{Marker, Progress};

/// What to do with an intake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nobody came before, or only this very intake, when it was parked: decide.
    Decide,
    /// This very intake was decided before, and not all of it was handed over: go on there.
    Resume,
    /// It is done, or another intake of the same event sees to it. That one is not acked before it is
    /// handed over, so nothing is lost when it is still on its way.
    Duplicate(EventId),
}

/// Judges an intake by its event's marker.
pub fn judge(intake: EventId, marker: Option<Marker>) -> Judgement {
    match marker {
        None => Judgement::Decide,
        Some(marker) if marker.event != intake => Judgement::Duplicate(marker.event),
        Some(marker) => match marker.progress {
            Progress::Parked => Judgement::Decide,
            Progress::Decided => Judgement::Resume,
            Progress::HandedOver => Judgement::Duplicate(marker.event),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redelivered_intake_goes_on_where_it_stopped_and_another_of_the_same_event_is_a_duplicate() {
        let (first, second) = (EventId::new(), EventId::new());
        let marker = |progress| Some(Marker { event: first, progress });
        for (intake, marker, judgement) in [
            (first, None, Judgement::Decide),
            (first, marker(Progress::Parked), Judgement::Decide),
            (first, marker(Progress::Decided), Judgement::Resume),
            (first, marker(Progress::HandedOver), Judgement::Duplicate(first)),
            (second, marker(Progress::Parked), Judgement::Duplicate(first)),
            (second, marker(Progress::Decided), Judgement::Duplicate(first)),
            (second, marker(Progress::HandedOver), Judgement::Duplicate(first)),
        ] {
            assert_eq!(judge(intake, marker), judgement);
        }
    }
}
