//! Kinds of requests, each as often as its weight says.

use crate::journey::{BODIES, Journey};
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::str::FromStr;

/// What a click is called among the [`BODIES`].
pub const CLICK: &str = "click";

/// What is sent: each number has its kind.
#[derive(Clone)]
pub struct Mix {
    kinds: Vec<Kind>,
    total: usize,
}

/// One kind of request.
#[derive(Clone)]
pub struct Kind {
    pub journey: Journey,
    /// The status that it must be answered with.
    pub expected: u16,
    weight: usize,
}

/// Neighbours are of different kinds, where there are several: it has no factor in common with any sum of weights.
const STRIDE: usize = 7_919;
/// The greatest weight.
const MOST: usize = 1_000;

impl Mix {
    /// One kind alone.
    pub fn only(journey: Journey, expected: u16) -> Self {
        Self { kinds: vec![Kind { journey, expected, weight: 1 }], total: 1 }
    }

    /// Clicks and webhooks by their weights, to one address.
    pub fn of(weights: &Weights, address: SocketAddr, clicks: &str, events: &str) -> Result<Self> {
        let kinds = weights.0.iter().map(|(name, weight)| {
            let (journey, expected) = match name.as_str() {
                CLICK => (Journey::click(address, clicks), 302),
                body => (Journey::webhook(address, events, body)?, 202),
            };
            Ok(Kind { journey, expected, weight: *weight })
        });
        let kinds = kinds.collect::<Result<Vec<_>>>()?;
        let total = kinds.iter().map(|kind| kind.weight).sum();
        Ok(Self { kinds, total })
    }

    /// The kind of a number.
    pub fn kind(&self, number: usize) -> &Kind {
        &self.kinds[self.place(number)]
    }

    fn place(&self, number: usize) -> usize {
        let mut left = (number % self.total) * STRIDE % self.total;
        for (place, kind) in self.kinds.iter().enumerate() {
            if left < kind.weight {
                return place;
            }
            left -= kind.weight;
        }
        0
    }

    /// Whether this number is a click.
    pub fn is_click(&self, number: usize) -> bool {
        self.kind(number).expected == 302
    }
}

/// How often each kind is, as in `click=6,contact=2,form=1,order=1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights(Vec<(String, usize)>);

impl FromStr for Weights {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut weights: Vec<(String, usize)> = Vec::new();
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').context("a weight is written as in click=6")?;
            let name = name.trim();
            ensure!(
                name == CLICK || BODIES.contains(&name),
                "{name} is none of click, {}",
                BODIES.join(", ")
            );
            let weight: usize =
                weight.trim().parse().with_context(|| format!("the weight of {name} is no number"))?;
            ensure!((1..=MOST).contains(&weight), "a weight is 1 to {MOST}: leave {name} out for none");
            ensure!(weights.iter().all(|(known, _)| known != name), "{name} has two weights");
            weights.push((name.to_owned(), weight));
        }
        Ok(Self(weights))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_as_often_as_its_weight_says() {
        let weights: Weights = "click=6,contact=2,form=1,order=1".parse().unwrap();
        let mix = Mix::of(&weights, "127.0.0.1:80".parse().unwrap(), "/c/demo", "/e").unwrap();
        let mut counts = [0; 4];
        (0..10_000).for_each(|number| counts[mix.place(number)] += 1);
        assert_eq!(counts, [6_000, 2_000, 1_000, 1_000]);
        let clicks = (0..10).filter(|number| mix.is_click(*number)).count();
        assert_eq!(clicks, 6);
    }

    #[test]
    fn weights_that_are_none_are_refused() {
        for wrong in ["", "click", "click=0", "click=many", "sale=1", "click=1,click=2", "click=1001"] {
            assert!(wrong.parse::<Weights>().is_err(), "{wrong}");
        }
    }
}
