//! The roster: the connectors of one version of the resources, arranged so that an event asks those that may be told
//! of it, and passes the others by together.
//!
//! The arrangement decides nothing: whoever it passes by would have said no, and for the same reason. So an event
//! costs what the connectors cost that it has to do with, however many there are.

use crate::condition::{Circumstances, Condition, Question};
use crate::connector::{Connector, FireAt, Mode, Trigger};
use crate::id::AdvertiserId;
use crate::resources::Resources;
use fixedbitset::FixedBitSet;
use std::collections::HashMap;
use std::sync::Arc;

/// The resources of one version, with the connectors of each advertiser arranged.
#[derive(Debug, Default)]
pub struct Roster {
    version: u64,
    resources: Arc<Resources>,
    of: HashMap<AdvertiserId, Own>,
}

/// One advertiser's connectors. They are named by their places among them, in the order of the resources.
#[derive(Debug, Default)]
struct Own {
    /// Where each stands in the resources.
    connectors: Vec<usize>,
    /// Those that listen alike, together.
    ears: Vec<Ear>,
    /// The places of those without a webhook.
    without_webhook: Vec<usize>,
}

/// Connectors with a webhook that listen to the same.
#[derive(Debug)]
pub(super) struct Ear {
    /// Whether they are switched on. Either all of them are or none.
    pub(super) live: bool,
    /// One of them, to be asked for all what they listen to.
    pub(super) one: usize,
    /// All of them.
    pub(super) members: FixedBitSet,
    /// Those that have to be asked one by one.
    singly: Vec<usize>,
    /// The others, by what their first condition asks.
    gates: Vec<Gate>,
}

/// Connectors whose first condition wants one of some texts, all of them of the same field.
#[derive(Debug)]
struct Gate {
    question: Question,
    /// Who wants a text.
    wanted: HashMap<String, Vec<usize>>,
    members: FixedBitSet,
}

impl Roster {
    /// Arranges the resources of a version.
    pub fn new(version: u64, resources: Arc<Resources>) -> Self {
        let mut of: HashMap<AdvertiserId, Own> = HashMap::new();
        for (index, connector) in resources.connectors.iter().enumerate() {
            of.entry(connector.advertiser.clone()).or_default().connectors.push(index);
        }
        for own in of.values_mut() {
            let connectors = own.of(&resources);
            let without_webhook = connectors.iter().enumerate().filter(|(_, one)| one.webhook.is_none());
            own.without_webhook = without_webhook.map(|(place, _)| place).collect();
            own.ears = ears(&connectors);
        }
        Self { version, resources, of }
    }

    /// The version of the resources; 0 before there were any.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The resources.
    pub fn resources(&self) -> &Arc<Resources> {
        &self.resources
    }

    /// An advertiser's connectors, by their places.
    pub fn connectors(&self, advertiser: &AdvertiserId) -> Vec<&Connector> {
        self.of.get(advertiser).map(|own| own.of(&self.resources)).unwrap_or_default()
    }

    /// An advertiser's connectors that have a webhook, by what they listen to.
    pub(super) fn ears(&self, advertiser: &AdvertiserId) -> &[Ear] {
        self.of.get(advertiser).map_or(&[], |own| &own.ears)
    }

    /// An advertiser's connectors that have none.
    pub(super) fn without_webhook(&self, advertiser: &AdvertiserId) -> impl Iterator<Item = &Connector> {
        let own = self.of.get(advertiser);
        own.into_iter().flat_map(|own| {
            own.without_webhook.iter().map(|place| &self.resources.connectors[own.connectors[*place]])
        })
    }
}

impl Own {
    fn of<'a>(&self, resources: &'a Resources) -> Vec<&'a Connector> {
        self.connectors.iter().map(|index| &resources.connectors[*index]).collect()
    }
}

fn ears(connectors: &[&Connector]) -> Vec<Ear> {
    let mut ears: Vec<Ear> = Vec::new();
    let mut heard: HashMap<(bool, &[Trigger], FireAt), usize> = HashMap::new();
    let with_webhook = connectors.iter().enumerate().filter(|(_, connector)| connector.webhook.is_some());
    for (place, connector) in with_webhook {
        let live = connector.mode != Mode::Disabled && connector.live_webhook().is_some();
        let ear = *heard.entry((live, &connector.triggers, connector.fire_at)).or_insert_with(|| {
            let members = FixedBitSet::with_capacity(connectors.len());
            ears.push(Ear { live, one: place, members, singly: Vec::new(), gates: Vec::new() });
            ears.len() - 1
        });
        ears[ear].add(place, connector.conditions.first());
    }
    ears
}

impl Ear {
    fn add(&mut self, place: usize, first: Option<&Condition>) {
        self.members.insert(place);
        let Some((question, texts)) = first.and_then(Condition::wants_text) else {
            self.singly.push(place);
            return;
        };
        let gate = match self.gates.iter().position(|gate| gate.question == question) {
            Some(gate) => gate,
            None => {
                let members = FixedBitSet::with_capacity(self.members.len());
                self.gates.push(Gate { question, wanted: HashMap::new(), members });
                self.gates.len() - 1
            }
        };
        let gate = &mut self.gates[gate];
        gate.members.insert(place);
        for text in texts {
            let wanting = gate.wanted.entry(text).or_default();
            if wanting.last() != Some(&place) {
                wanting.push(place);
            }
        }
    }

    /// Who has to be asked under these circumstances, in no order; and who need not be, because the first of its
    /// conditions does not hold.
    pub(super) fn sort(&self, circumstances: &Circumstances<'_>) -> (Vec<usize>, FixedBitSet) {
        let mut asked = self.singly.clone();
        let mut passed_by = FixedBitSet::with_capacity(self.members.len());
        for gate in &self.gates {
            passed_by.union_with(&gate.members);
            let answer = gate.question.answer(circumstances);
            let wanting = answer.and_then(|text| gate.wanted.get(&text)).map_or(&[][..], Vec::as_slice);
            for place in wanting {
                passed_by.remove(*place);
            }
            asked.extend(wanting);
        }
        (asked, passed_by)
    }
}
