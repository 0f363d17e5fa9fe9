//! Who is who. Cookies, named clicks and contacts make a person; an e-mail or phone makes persons one
//! visitor, unless it is on too many.

use super::World;
use crate::journeys::journey::Event;

/// An e-mail or phone that is on more persons than this joins nobody.
const SHARED_BY_AT_MOST: usize = 20;

/// Somebody, by all that is known of them.
#[derive(Clone, Default)]
struct Person {
    cookies: Vec<String>,
    contacts: Vec<String>,
    /// E-mails and phones, told apart by what they begin with.
    addresses: Vec<String>,
}

impl World {
    /// The ways from the event to those who may have clicked for it, in the order in which they count:
    /// the word for it, and the cookies at its end. First whom its cookie and its contact belong to; then
    /// whoever shares its e-mail, and its phone; then who was joined with the first two earlier.
    pub(super) fn ways(&self, event: &Event) -> Vec<(&'static str, Vec<String>)> {
        let before = self.people(event, false);
        let too_common = too_common(&self.people(event, true));
        let contact = self.contact(event);
        let own_cookie =
            || pick(&before, |person| event.cookie.as_ref().is_some_and(|own| person.cookies.contains(own)));
        let own_contact =
            || pick(&before, |person| contact.as_ref().is_some_and(|own| person.contacts.contains(own)));
        let sharing = |address: Option<String>| {
            let address = address.filter(|address| !too_common.contains(address));
            pick(&before, |person| address.as_ref().is_some_and(|shared| person.addresses.contains(shared)))
        };
        let all = |some: Vec<usize>| joined(&before, some, &too_common);
        let ways = [
            ("visitor", own_cookie()),
            ("contact", own_contact()),
            ("email", all(sharing(email(event)))),
            ("phone", all(sharing(phone(event)))),
            ("visitor", all(own_cookie())),
            ("contact", all(own_contact())),
        ];
        let cookies =
            |some: Vec<usize>| some.iter().flat_map(|person| before[*person].cookies.clone()).collect();
        ways.into_iter().map(|(word, some)| (word, cookies(some))).collect()
    }

    /// The persons of the event's advertiser, by what is decided, and by the event itself if it is to count.
    fn people(&self, event: &Event, with_it: bool) -> Vec<Person> {
        let mut people: Vec<Person> = Vec::new();
        for click in self.clicks.iter().filter(|click| click.advertiser == event.advertiser) {
            people.push(Person { cookies: vec![click.cookie.clone()], ..Person::default() });
        }
        let past = self.of(event).map(|past| (&past.event, past.cookie.clone()));
        let itself = with_it.then(|| (event, self.named(event).map(|click| click.cookie.clone())));
        for (told, named) in past.chain(itself) {
            let person = Person {
                cookies: told.cookie.iter().cloned().chain(named).collect(),
                contacts: told.contact.iter().cloned().collect(),
                addresses: email(told).into_iter().chain(phone(told)).collect(),
            };
            // Who leaves an e-mail or phone and nothing else is not yet another person.
            if !person.cookies.is_empty() || !person.contacts.is_empty() {
                people.push(person);
            }
        }
        while let Some((one, other)) = the_same(&people) {
            let other = people.remove(other);
            people[one].cookies.extend(other.cookies);
            people[one].contacts.extend(other.contacts);
            people[one].addresses.extend(other.addresses);
        }
        people
    }
}

fn email(event: &Event) -> Option<String> {
    event.email.as_ref().map(|email| format!("e-mail {email}"))
}

fn phone(event: &Event) -> Option<String> {
    event.phone.as_ref().map(|phone| format!("phone {phone}"))
}

/// Two persons that are one by a cookie or a contact, the earlier first.
fn the_same(people: &[Person]) -> Option<(usize, usize)> {
    let meet = |some: &[String], others: &[String]| some.iter().any(|one| others.contains(one));
    for (other, second) in people.iter().enumerate() {
        for (one, first) in people.iter().enumerate().take(other) {
            if meet(&first.cookies, &second.cookies) || meet(&first.contacts, &second.contacts) {
                return Some((one, other));
            }
        }
    }
    None
}

/// The e-mails and phones that are on too many persons to tell anything.
fn too_common(people: &[Person]) -> Vec<String> {
    let all = people.iter().flat_map(|person| person.addresses.iter().cloned());
    all.filter(|address| {
        people.iter().filter(|person| person.addresses.contains(address)).count() > SHARED_BY_AT_MOST
    })
    .collect()
}

fn pick(people: &[Person], wanted: impl Fn(&Person) -> bool) -> Vec<usize> {
    (0..people.len()).filter(|person| wanted(&people[*person])).collect()
}

/// Some persons, and all whom e-mails and phones join with them.
fn joined(people: &[Person], mut some: Vec<usize>, too_common: &[String]) -> Vec<usize> {
    let mut next = 0;
    while next < some.len() {
        let addresses = &people[some[next]].addresses;
        let shares = |person: &Person| {
            addresses
                .iter()
                .any(|address| !too_common.contains(address) && person.addresses.contains(address))
        };
        for person in pick(people, shares) {
            if !some.contains(&person) {
                some.push(person);
            }
        }
        next += 1;
    }
    some
}
