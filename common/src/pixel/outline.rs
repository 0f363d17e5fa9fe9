//! What a reading of code finds: the place of each gap, and the structure around them.
//!
//! Code is read twice: once as it was written, with something harmless in the gaps, and again as it was filled in.
//! The structure is where each token begins and ends, counted without what is in the gaps; a value that stayed in
//! its place leaves all of it as it was.

use super::place::Place;
use super::wrong::Wrong;
use std::ops::Range;

/// What is known of a gap.
pub(super) type Found = Result<Place, Wrong>;

/// A border of a token: of what kind, and where; none where it lies within a gap.
type Border = (u8, Option<usize>);

/// What a reading finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outline {
    /// Of each gap, in their order.
    pub(super) found: Vec<Found>,
    /// What is wrong apart from the gaps, and where.
    pub(super) faults: Vec<(usize, Wrong)>,
    borders: Vec<Border>,
}

impl Outline {
    /// What is known of each gap, of the two passes together. A gap that is in the text of elements by the first may
    /// be in a `noscript`, where no other browser looks: the second says what it is there.
    pub(super) fn agreed([scripting, without]: &[Self; 2]) -> Vec<Found> {
        let both = scripting.found.iter().zip(&without.found);
        both.map(|(one, other)| match (one, other) {
            (Ok(Place::Text), other) => other.clone(),
            (one, other) if one == other => one.clone(),
            (Err(wrong), _) | (_, Err(wrong)) => Err(wrong.clone()),
            _ => Err(Wrong::Noscript),
        })
        .collect()
    }
}

/// A reading under way.
pub(super) struct Reading<'a> {
    pub(super) source: &'a str,
    gaps: &'a [Range<usize>],
    outline: Outline,
}

impl<'a> Reading<'a> {
    /// Begins with every gap in the text of elements.
    pub(super) fn new(source: &'a str, gaps: &'a [Range<usize>]) -> Self {
        let found = vec![Ok(Place::Text); gaps.len()];
        Self { source, gaps, outline: Outline { found, ..Outline::default() } }
    }

    pub(super) fn done(self) -> Outline {
        self.outline
    }

    /// Notes a token's border.
    pub(super) fn border(&mut self, kind: u8, at: usize) {
        let before: usize = self.gaps.iter().filter(|gap| gap.end <= at).map(Range::len).sum();
        let within = self.gaps.iter().any(|gap| gap.start < at && at < gap.end);
        self.outline.borders.push((kind, (!within).then(|| at - before)));
    }

    /// Notes a fault that is of no gap.
    pub(super) fn fault(&mut self, at: usize, wrong: Wrong) {
        self.outline.faults.push((at, wrong));
    }

    /// Says what the gaps are in that a token of this range holds or touches. An empty gap at its border is
    /// outside.
    pub(super) fn token(&mut self, range: Range<usize>, found: &Found) {
        for (gap, place) in self.gaps.iter().zip(&mut self.outline.found) {
            if gap.start < range.end && gap.end > range.start {
                place.clone_from(found);
            }
        }
    }

    /// The gaps between two delimiters, at the borders too, by their numbers.
    pub(super) fn within(&self, body: &Range<usize>) -> Vec<usize> {
        let inside = |gap: &Range<usize>| body.start <= gap.start && gap.end <= body.end;
        (0..self.gaps.len()).filter(|index| inside(&self.gaps[*index])).collect()
    }

    /// Says what a gap is in.
    pub(super) fn set(&mut self, gap: usize, found: Found) {
        self.outline.found[gap] = found;
    }

    /// What is known of a gap.
    pub(super) fn found(&self, gap: usize) -> &Found {
        &self.outline.found[gap]
    }

    /// Where a gap is.
    pub(super) fn gap(&self, gap: usize) -> Range<usize> {
        self.gaps[gap].clone()
    }

    /// A part of the source in its pieces: its own text, and the gaps in it by their numbers.
    pub(super) fn pieces(&self, body: &Range<usize>) -> Vec<Result<&'a str, usize>> {
        let mut pieces = Vec::new();
        let mut at = body.start;
        for gap in self.within(body) {
            let range = self.gap(gap);
            pieces.push(Ok(&self.source[at..range.start]));
            pieces.push(Err(gap));
            at = range.end;
        }
        pieces.push(Ok(&self.source[at..body.end]));
        pieces
    }
}
