//! Generated journeys, attributed twice: by Carom and by a second, deliberately simple attribution.

mod journey;
mod dice;
mod generate;
mod simple;
mod by_hand;
