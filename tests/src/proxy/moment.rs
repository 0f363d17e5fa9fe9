//! A moment on the way between a binary and the broker: a row of sights, the last of which is where the
//! connection is held.
//!
//! "The confirm of the delivery's publish" is two sights: the publish, which passes, and then the confirm on the
//! same connection. So a process can be killed exactly there, with no hook in the product.

use super::Way;
use super::frame::Method;
use tokio::sync::watch;

/// One frame to be seen.
#[derive(Clone, Copy, Debug)]
pub enum Sight {
    /// A publish to a queue by the default exchange, or by this exchange.
    Publish { exchange: &'static str, key: &'static str },
    /// A delivery of a message that was published for this queue.
    Deliver { queue: &'static str },
    /// The broker's confirm, on the connection of the sight before.
    Confirm,
    /// The ack of the delivery that was seen before.
    AckOfIt,
}

impl Sight {
    /// A publish straight to a queue.
    pub const fn publish(queue: &'static str) -> Self {
        Self::Publish { exchange: "", key: queue }
    }

    /// A publish to a tier, to come back to `queue`.
    pub const fn publish_to(exchange: &'static str, queue: &'static str) -> Self {
        Self::Publish { exchange, key: queue }
    }
}

/// What a moment has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    No,
    /// It is here: what comes from now on, that frame included, does not pass.
    Here,
}

pub(super) struct Moment {
    left: Vec<Sight>,
    /// Connection, channel and tag of the sight before.
    before: Option<(u64, u16, u64)>,
    told: watch::Sender<bool>,
}

impl Moment {
    pub(super) fn new(sights: &[Sight]) -> (Self, watch::Receiver<bool>) {
        let (told, heard) = watch::channel(false);
        let left = sights.iter().rev().copied().collect();
        (Self { left, before: None, told }, heard)
    }

    /// Looks at a method that is about to pass.
    pub(super) fn look(&mut self, connection: u64, way: Way, method: &Method) -> Met {
        let Some(sight) = self.left.last() else { return Met::No };
        let of_connection = self.before.is_none_or(|(before, ..)| before == connection);
        let seen = match (sight, way, method) {
            (Sight::Publish { exchange, key }, Way::ToBroker, Method::Publish { exchange: to, key: by }) => {
                (exchange == to && key == by).then_some((0, 0))
            }
            (Sight::Deliver { queue }, Way::FromBroker, Method::Deliver { channel, tag, key }) => {
                (queue == key).then_some((*channel, *tag))
            }
            (Sight::Confirm, Way::FromBroker, Method::Ack { .. }) => of_connection.then_some((0, 0)),
            (Sight::AckOfIt, Way::ToBroker, Method::Ack { channel, tag, multiple }) => {
                let of_it = self.before.is_some_and(|(_, on, delivered)| {
                    on == *channel && (*tag == delivered || (*multiple && *tag >= delivered))
                });
                (of_connection && of_it).then_some((*channel, *tag))
            }
            _ => None,
        };
        let Some((channel, tag)) = seen else { return Met::No };
        self.left.pop();
        self.before = Some((connection, channel, tag));
        if !self.left.is_empty() {
            return Met::No;
        }
        self.told.send_replace(true);
        Met::Here
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(channel: u16, tag: u64, multiple: bool) -> Method {
        Method::Ack { channel, tag, multiple }
    }

    #[test]
    fn an_ack_is_held_only_when_it_is_of_the_delivery_that_was_seen() {
        let (mut moment, told) = Moment::new(&[Sight::Deliver { queue: "q" }, Sight::AckOfIt]);
        let deliver = |key: &str| Method::Deliver { channel: 2, tag: 7, key: key.to_owned() };
        for (connection, way, method) in [
            (1, Way::ToBroker, ack(2, 7, false)),
            (1, Way::FromBroker, deliver("other")),
            (1, Way::FromBroker, deliver("q")),
            (1, Way::FromBroker, ack(2, 7, false)),
            (1, Way::ToBroker, ack(3, 7, false)),
            (1, Way::ToBroker, ack(2, 6, true)),
            (2, Way::ToBroker, ack(2, 7, false)),
        ] {
            assert_eq!(moment.look(connection, way, &method), Met::No, "{method:?}");
        }
        assert!(!*told.borrow());
        assert_eq!(moment.look(1, Way::ToBroker, &ack(2, 8, true)), Met::Here);
        assert!(*told.borrow());
    }

    #[test]
    fn a_confirm_is_of_the_connection_that_published() {
        let (mut moment, _told) = Moment::new(&[Sight::publish("q"), Sight::Confirm]);
        let publish = |exchange: &str| Method::Publish { exchange: exchange.to_owned(), key: "q".to_owned() };
        assert_eq!(moment.look(1, Way::FromBroker, &ack(1, 1, false)), Met::No);
        assert_eq!(moment.look(1, Way::ToBroker, &publish("tier")), Met::No);
        assert_eq!(moment.look(1, Way::ToBroker, &publish("")), Met::No);
        assert_eq!(moment.look(2, Way::FromBroker, &ack(1, 1, false)), Met::No);
        assert_eq!(moment.look(1, Way::FromBroker, &ack(1, 1, false)), Met::Here);
    }
}
