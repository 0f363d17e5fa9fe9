//! The quality score: how much of what a person leaves behind is there, from 0 to 100.
//!
//! ClickerVolt names the field and does not say what it is (specification 002). Ours is the sum of fixed
//! weights of what we really have, so that anybody can work it out by hand, and each of them only ever adds.

use super::Circumstances;
use crate::attribution::is_given;
use crate::click::Device;
use crate::click_id_matching::AD_CLICK_IDS;
use crate::touch::Touch;
use jiff::SignedDuration;

/// How soon after the touch no person has bought or signed up.
const HURRY: SignedDuration = SignedDuration::from_secs(5);

/// How far apart touches are of two sessions, as analytics tools have it.
const SESSION: SignedDuration = SignedDuration::from_mins(30);

/// What counts, each with its weight. The weights sum up to 100; `docs/conditions.md` has them for users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signals {
    /// A click of ours, and not only a visit that a funnel recorded.
    pub(super) recorded_click: bool,
    /// A user agent that begins as browsers' do.
    pub(super) browser: bool,
    /// A known kind of device.
    pub(super) device: bool,
    /// A known country.
    pub(super) country: bool,
    /// Something that says where they came from: a referrer, a `utm_source`, an ad platform's click id.
    pub(super) origin: bool,
    /// An ad platform's click id.
    pub(super) ad: bool,
    /// Time enough between the touch and the event.
    pub(super) unhurried: bool,
    /// An e-mail address.
    pub(super) email: bool,
    /// A telephone number.
    pub(super) phone: bool,
    /// A second session.
    pub(super) came_back: bool,
}

/// The score; none where there is no touch to judge. Of a click that is tagged as no person's it is 0.
pub(super) fn score(circumstances: &Circumstances<'_>) -> Option<u8> {
    if circumstances.click.is_some_and(|click| click.not_a_touch.is_some()) {
        return Some(0);
    }
    Signals::of(circumstances).map(Signals::score)
}

impl Signals {
    /// The attributed click is judged with the newest touch, because a funnel's visit knows the utm values
    /// of a click of ours that has none.
    fn of(circumstances: &Circumstances<'_>) -> Option<Self> {
        let (event, history) = (circumstances.event, circumstances.history);
        let click = circumstances.click.map(Touch::from);
        let earned_by = click.as_ref().or(history.last())?;
        let touches = [Some(earned_by), history.last()];
        let any = |holds: &dyn Fn(&Touch) -> bool| touches.into_iter().flatten().any(holds);
        let browser = |agent: &str| agent.starts_with("Mozilla/") || agent.starts_with("Opera/");
        let known = |device: &str| device != Device::Other.as_str();
        let has = |touch: &Touch, name: &str| touch.parameter(name).is_some_and(is_given);
        let ad = any(&|touch| AD_CLICK_IDS.iter().any(|name| has(touch, name)));
        let between = |from: &Touch, to| to >= from.at && from.at.duration_until(to) >= HURRY;
        Some(Self {
            recorded_click: any(&|touch| touch.click.is_some()),
            browser: any(&|touch| touch.user_agent.as_deref().is_some_and(browser)),
            device: any(&|touch| touch.device.as_deref().is_some_and(known)),
            country: any(&|touch| touch.country.is_some()),
            origin: ad || any(&|touch| touch.referrer.is_some() || has(touch, "utm_source")),
            ad,
            unhurried: between(earned_by, history.at),
            email: event.person.email.is_some(),
            phone: event.person.phone.is_some(),
            came_back: history
                .first
                .as_ref()
                .zip(history.last())
                .is_some_and(|(first, last)| first.at.duration_until(last.at) >= SESSION),
        })
    }

    fn score(self) -> u8 {
        [
            (self.recorded_click, 15),
            (self.browser, 15),
            (self.unhurried, 15),
            (self.device, 10),
            (self.country, 10),
            (self.origin, 10),
            (self.email, 10),
            (self.ad, 5),
            (self.phone, 5),
            (self.came_back, 5),
        ]
        .into_iter()
        .map(|(there, weight)| if there { weight } else { 0 })
        .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::click::{Click, NotATouch};
    use crate::event::Event;
    use crate::event::testing::event;
    use crate::id::VisitorId;
    use crate::touch::History;

    /// Ten bits, a signal each.
    fn signals(bits: u16) -> Signals {
        let bit = |index: u32| bits & (1 << index) != 0;
        Signals {
            recorded_click: bit(0),
            browser: bit(1),
            device: bit(2),
            country: bit(3),
            origin: bit(4),
            ad: bit(5),
            unhurried: bit(6),
            email: bit(7),
            phone: bit(8),
            came_back: bit(9),
        }
    }

    #[test]
    fn the_score_lies_between_0_and_100_and_each_signal_only_adds() {
        assert_eq!(signals(0).score(), 0);
        assert_eq!(signals((1 << 10) - 1).score(), 100);
        for bits in 0..1 << 10 {
            let score = signals(bits).score();
            assert!(score <= 100);
            for index in 0..10 {
                let with = signals(bits | 1 << index).score();
                let adds = bits & (1 << index) == 0;
                assert!(if adds { with > score } else { with == score }, "{bits:b} {index}");
            }
        }
    }

    fn click() -> Click {
        let at = "2026-01-10T11:00:00Z".parse().unwrap();
        let mut click = Click::new("acme".parse().unwrap(), "summer".parse().unwrap(), VisitorId::new(), at);
        click.user_agent = Some("Mozilla/5.0 (iPhone)".into());
        click.device = Some(Device::Mobile);
        click.country = Some("US".into());
        click.parameters = vec![("gclid".into(), "g1".into())];
        click
    }

    fn scored(event: &Event, click: Option<&Click>, history: &History) -> Option<u8> {
        score(&Circumstances { event, conversion: None, click, history })
    }

    #[test]
    fn a_person_who_came_twice_and_left_everything_scores_100() {
        let mut event = event("acme");
        event.person.email = Some("jane@example.com".into());
        event.person.phone = Some("+18005550199".into());
        let click = click();
        let first = Touch { at: "2026-01-09T11:00:00Z".parse().unwrap(), ..Touch::from(&click) };
        let history = History {
            first: Some(first.clone()),
            recent: vec![Touch::from(&click), first],
            ..History::empty(event.at)
        };
        assert_eq!(scored(&event, Some(&click), &history), Some(100));
        // The attributed click is enough to be judged; nobody came twice then.
        assert_eq!(scored(&event, Some(&click), &History::empty(event.at)), Some(95));
    }

    #[test]
    fn what_has_no_touch_has_no_score_and_a_bots_click_scores_0() {
        let event = event("acme");
        assert_eq!(scored(&event, None, &History::empty(event.at)), None);
        let bot = Click { not_a_touch: Some(NotATouch::Bot), ..click() };
        assert_eq!(scored(&event, Some(&bot), &History::empty(event.at)), Some(0));
    }

    #[test]
    fn a_sale_seconds_after_its_click_or_before_it_was_hurried() {
        let event = event("acme");
        let at = |text: &str| Click { at: text.parse().unwrap(), ..click() };
        let score = |click: &Click| scored(&event, Some(click), &History::empty(event.at)).unwrap();
        let unhurried = score(&at("2026-01-10T11:59:55Z"));
        assert_eq!(score(&at("2026-01-10T11:59:56Z")), unhurried - 15);
        assert_eq!(score(&at("2026-01-10T12:30:00Z")), unhurried - 15);
    }

    #[test]
    fn signals_that_say_nothing_add_nothing() {
        let event = event("acme");
        let mut click = click();
        let scored = |click: &Click| scored(&event, Some(click), &History::empty(event.at)).unwrap();
        let all = scored(&click);
        click.parameters = vec![("gclid".into(), " ".into()), ("utm_source".into(), String::new())];
        assert_eq!(scored(&click), all - 15);
        click.parameters =
            vec![("gclid".into(), "{gclid}".into()), ("utm_source".into(), " [source]".into())];
        assert_eq!(scored(&click), all - 15);
        click.parameters = vec![("tblci".into(), "t1".into())];
        assert_eq!(scored(&click), all);
        click.parameters.clear();
        click.device = Some(Device::Other);
        assert_eq!(scored(&click), all - 25);
        click.user_agent = Some("curl/8".into());
        assert_eq!(scored(&click), all - 40);
    }
}
