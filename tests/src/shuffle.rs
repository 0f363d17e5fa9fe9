//! Chance that can be had again: a small generator, so that a failed order of arrival can be repeated.

/// Which order of arrival is tried, where nobody asks for another (`SCENARIO_SEED`).
const SEED: u64 = 20_260_110;

/// SplitMix64.
pub struct Chance(u64);

impl Chance {
    /// By the environment's seed, or the usual one. It is printed, to be given again.
    pub fn by_environment() -> Self {
        let seed = std::env::var("SCENARIO_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
        println!("SCENARIO_SEED={seed}");
        Self(seed)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }

    /// Puts items into an order of its own.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
