//! Payout rules, as tables.
