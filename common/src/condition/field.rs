//! The fields that conditions ask for, each with its type and with where its value comes from
//! (specification 002).

use super::compare::Found;
use super::quality;
use super::{Circumstances, Which};
use crate::attribution::is_given;
use crate::identity;
use crate::touch::Touch;

/// A field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    /// A parameter of the touch that has a field of its own: the utm values.
    Utm(&'static str),
    /// The country of the touch, as two letters.
    Country,
    /// The kind of device of the touch.
    DeviceType,
    /// The page that the touch came from.
    Referrer,
    /// Whether one of these ad click ids is there.
    IsFrom(&'static [&'static str]),
    /// What the event is worth, of a step what the step is.
    Revenue,
    /// The quality score.
    QualityScore,
    /// How many conversions of the visitor have been approved.
    ConversionCount,
    /// How many named events the visitor has had.
    EventCount,
    /// The offer that was clicked.
    LinkId,
    /// The id of its tracking URL.
    TargetId,
    /// The number of a custom event.
    EventNumber,
    /// The e-mail address that the event names.
    Email,
    /// The telephone number that the event names.
    Phone,
    /// The sender's id of the contact.
    Contact,
    /// `event.<path>`: the event's own data.
    OfEvent(&'a str),
    /// `click.<name>`: a parameter of the touch.
    OfClick(&'a str),
}

/// What type a field's values have, and so which operators it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Texts.
    Text,
    /// Numbers.
    Number,
    /// True or false.
    Truth,
    /// Whatever the sender made of it: what it is compared with says as what it is read.
    Any,
}

/// The fields with names of their own, as the documents spell them.
pub(super) const NAMED: [(&str, Field<'static>); 21] = [
    ("utm_source", Field::Utm("utm_source")),
    ("utm_medium", Field::Utm("utm_medium")),
    ("utm_campaign", Field::Utm("utm_campaign")),
    ("utm_content", Field::Utm("utm_content")),
    ("utm_term", Field::Utm("utm_term")),
    ("country", Field::Country),
    ("deviceType", Field::DeviceType),
    ("referrer", Field::Referrer),
    ("isFromGoogleAds", Field::IsFrom(&["gclid", "gbraid", "wbraid"])),
    ("isFromFacebookAds", Field::IsFrom(&["fbclid", "fbc"])),
    ("isFromTikTokAds", Field::IsFrom(&["ttclid"])),
    ("revenue", Field::Revenue),
    ("qualityScore", Field::QualityScore),
    ("conversionCount", Field::ConversionCount),
    ("eventCount", Field::EventCount),
    ("linkId", Field::LinkId),
    ("targetId", Field::TargetId),
    ("eventNumber", Field::EventNumber),
    ("email", Field::Email),
    ("phone", Field::Phone),
    ("contact", Field::Contact),
];

impl<'a> Field<'a> {
    /// The field of this name, in exactly this spelling; none where there is no such field.
    pub(super) fn named(name: &'a str) -> Option<Self> {
        let named = NAMED.iter().find(|(known, _)| *known == name).map(|(_, field)| *field);
        named
            .or_else(|| name.strip_prefix("event.").map(Field::OfEvent))
            .or_else(|| name.strip_prefix("click.").map(Field::OfClick))
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Utm(_)
            | Self::Country
            | Self::DeviceType
            | Self::Referrer
            | Self::LinkId
            | Self::TargetId
            | Self::Email
            | Self::Phone
            | Self::Contact => Kind::Text,
            Self::Revenue
            | Self::QualityScore
            | Self::ConversionCount
            | Self::EventCount
            | Self::EventNumber => Kind::Number,
            Self::IsFrom(_) => Kind::Truth,
            Self::OfEvent(_) | Self::OfClick(_) => Kind::Any,
        }
    }

    /// Whether it is of the first click or of the last, by choice (specification 002, its note). The
    /// identity fields are not: a touch names nobody, only events do.
    pub(super) fn has_choice(self) -> bool {
        matches!(self, Self::Utm(_) | Self::Country | Self::DeviceType | Self::Referrer | Self::OfClick(_))
    }

    /// Whether what is found is a text, and is compared as it stands. A telephone number is brought into one form first.
    pub(super) fn is_found_as_text(self) -> bool {
        matches!(self.kind(), Kind::Text | Kind::Any) && self != Self::Phone
    }

    /// Whether it always has a value: none of something is a count, and no ad click id is an answer.
    pub(super) fn is_always_known(self) -> bool {
        matches!(self, Self::IsFrom(_) | Self::ConversionCount | Self::EventCount)
    }

    /// Whether what it is compared with may say who somebody is.
    pub(super) fn may_be_personal(self) -> bool {
        matches!(self, Self::Email | Self::Phone | Self::Contact | Self::OfEvent(_) | Self::OfClick(_))
    }

    /// Its value.
    pub(super) fn value<'c>(self, which: Which, of: &Circumstances<'c>) -> Option<Found<'c>>
    where
        'a: 'c,
    {
        let (event, history) = (of.event, of.history);
        let touch = of.touch(which);
        let parameter = |name| Found::text(touch?.parameter(name)?);
        match self {
            Self::Utm(name) => parameter(name),
            Self::OfClick(name) => parameter(name),
            Self::Country => Found::text(touch?.country.as_deref()?),
            Self::DeviceType => Found::text(touch?.device.as_deref()?),
            Self::Referrer => Found::text(touch?.referrer.as_deref()?),
            Self::IsFrom(names) => Some(Found::Truth(names.iter().any(|name| is_there(name, of)))),
            Self::Revenue => {
                let told = of.conversion.and_then(|conversion| conversion.value.as_ref());
                told.or(event.value.as_ref()).map(|value| Found::Number(value.amount))
            }
            Self::QualityScore => quality::score(of).map(|score| Found::Number(score.into())),
            Self::ConversionCount => Some(Found::Number(history.conversions.into())),
            Self::EventCount => Some(Found::Number(history.events.into())),
            Self::LinkId => Found::text(match of.click {
                Some(click) => click.offer.as_str(),
                None => history.last()?.offer.as_ref()?.as_str(),
            }),
            Self::TargetId => Found::text(match of.click {
                Some(click) => click.target.as_str(),
                None => history.last()?.target.as_deref()?,
            }),
            Self::EventNumber => event.number.map(|number| Found::Number(number.into())),
            Self::Email => Found::text(event.person.email.as_deref()?),
            Self::Phone => {
                let given = event.person.phone.as_deref()?;
                identity::phone(given).map_or_else(|| Found::text(given), Found::text)
            }
            Self::Contact => Found::text(event.person.contact.as_deref()?),
            Self::OfEvent(path) => Found::text(event.datum(path)?),
        }
    }

    /// Whether it has no value of the kind that was asked for because a click or touch is not known. What a
    /// known touch does not carry is not for want of one.
    pub(super) fn wants_click(self, which: Which, of: &Circumstances<'_>) -> bool {
        match self {
            _ if self.has_choice() => of.touch(which).is_none(),
            Self::IsFrom(_) => of.click.is_none() && self.value(which, of) == Some(Found::Truth(false)),
            Self::LinkId | Self::TargetId | Self::QualityScore => {
                of.click.is_none() && self.value(which, of).is_none()
            }
            _ => false,
        }
    }
}

impl<'c> Circumstances<'c> {
    fn touch(&self, which: Which) -> Option<&'c Touch> {
        match which {
            Which::First => self.history.first.as_ref(),
            Which::Last => self.history.last(),
        }
    }
}

/// Whether an ad click id is there, where the macros look for it too: on the attributed click, on the newest
/// touch, in the event's own data. A placeholder that nobody filled is none.
fn is_there(name: &str, of: &Circumstances<'_>) -> bool {
    let touch = of.history.last();
    of.click.and_then(|click| click.parameter_in_any_case(name)).is_some_and(is_given)
        || touch.and_then(|touch| touch.parameter(name)).is_some_and(is_given)
        || of.event.datum(name).as_deref().is_some_and(is_given)
}
