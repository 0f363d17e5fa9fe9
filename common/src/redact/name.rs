//! Names that say what stands under them: a secret, an id, a telephone number.
//!
//! Names are compared word by word, so that `cardNumber`, `card-number` and `form[card_number]` are the
//! same, and `pinned`, `secretary` or `token_count` are no secrets.

use super::card::Solid;
use std::cell::RefCell;
use std::collections::HashMap;

/// Secret wherever these words follow each other in a name.
const ANYWHERE: [&str; 40] = [
    "creditcard",
    "debitcard",
    "cardnumber",
    "cardno",
    "cardnum",
    "cardcode",
    "cardexp",
    "cardexpiry",
    "cardexpiration",
    "cardpin",
    "ccnumber",
    "ccnum",
    "ccno",
    "ccexp",
    "ccexpiry",
    "cvv",
    "cvv2",
    "cvc",
    "cvc2",
    "securitycode",
    "expmonth",
    "expyear",
    "expirymonth",
    "expiryyear",
    "expirationmonth",
    "expirationyear",
    "iban",
    "accountnumber",
    "accountno",
    "routingnumber",
    "sortcode",
    "ssn",
    "socialsecurity",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "apikey",
    "privatekey",
];

/// Secret where a name ends in these words: `token_count` is none.
const AT_THE_END: [&str; 5] = ["token", "authorization", "nonce", "accesskey", "bearer"];

/// Secret where they are the whole name. A `pin_code` is where somebody lives.
const WHOLE: [&str; 4] = ["pin", "pan", "csc", "otp"];

/// Secret where somebody wrote the words without anything between them.
const ONE_WORD: [&str; 9] = [
    "accesstoken",
    "refreshtoken",
    "authtoken",
    "apitoken",
    "stripetoken",
    "sessiontoken",
    "secretkey",
    "clientsecret",
    "apisecret",
];

/// What ids, references and times are called, besides what ends in `id`. A number under such a name may
/// pass for a card's by chance: one in ten has the check digit.
const NO_CARD: [&str; 17] = [
    "ids",
    "uuid",
    "guid",
    "ref",
    "reference",
    "at",
    "on",
    "time",
    "timestamp",
    "ts",
    "date",
    "order",
    "invoice",
    "tracking",
    "expires",
    "fbp",
    "fbc",
];

/// Words of a name under which it stands who somebody is, or how they are reached.
const PERSONAL: [&str; 22] = [
    "email",
    "mail",
    "phone",
    "telephone",
    "mobile",
    "msisdn",
    "fax",
    "whatsapp",
    "address",
    "street",
    "zip",
    "postcode",
    "birthday",
    "birthdate",
    "dob",
    "firstname",
    "lastname",
    "fullname",
    "fname",
    "lname",
    "surname",
    "nickname",
];

/// How many words of a name are looked at together.
const TOGETHER: usize = 4;

/// What a name says of its value.
#[derive(Clone, Copy)]
pub(super) struct Said {
    /// It is a secret.
    pub(super) secret: bool,
    /// It is of a person. `campaign_name` and `ad_name` are not.
    pub(super) personal: bool,
    /// How digits without anything between them are to be read: an id is no card, and a telephone number is none in
    /// any form.
    pub(super) solid: Solid,
}

/// How many names are remembered: those of all the sources that a worker has, and not what a stranger makes up.
const REMEMBERED: usize = 2_048;
/// Longer names are not.
const SHORT: usize = 64;

thread_local! {
    /// A source sends the same few dozen names with every event.
    static SAID: RefCell<HashMap<Box<str>, Said>> = RefCell::default();
}

/// What a name says.
pub(super) fn said(name: &str) -> Said {
    if name.len() > SHORT {
        return read(name);
    }
    SAID.with_borrow_mut(|known| {
        if let Some(said) = known.get(name) {
            return *said;
        }
        if known.len() >= REMEMBERED {
            known.clear();
        }
        let said = read(name);
        known.insert(name.into(), said);
        said
    })
}

fn read(name: &str) -> Said {
    let words = words(name);
    Said { secret: is_secret(&words), personal: is_personal(&words), solid: solid(&words) }
}

fn is_secret(words: &[String]) -> bool {
    let last = words.len();
    for from in 0..last {
        let mut joined = String::new();
        for (to, word) in words.iter().enumerate().skip(from).take(TOGETHER) {
            joined.push_str(word);
            let is = |known: &[&str]| known.contains(&&*joined);
            let ends = to + 1 == last;
            if is(&ANYWHERE) || (ends && is(&AT_THE_END)) || (from == 0 && ends && is(&WHOLE)) {
                return true;
            }
        }
    }
    words.iter().any(|word| {
        ONE_WORD.contains(&word.as_str())
            || word.starts_with("creditcard")
            || word.ends_with("password")
            || word.ends_with("passwd")
    })
}

fn is_personal(words: &[String]) -> bool {
    let of_person = |word: &String| PERSONAL.contains(&word.as_str());
    let named =
        |pair: &[String]| ["first", "last", "full", "middle"].contains(&&*pair[0]) && pair[1] == "name";
    let whole = words.len() == 1 && ["name", "tel"].contains(&words[0].as_str());
    whole || words.iter().any(of_person) || words.windows(2).any(named)
}

fn solid(words: &[String]) -> Solid {
    if words.iter().any(|word| ["phone", "mobile", "telephone", "fax", "msisdn"].contains(&word.as_str())) {
        return Solid::Phone;
    }
    let id = |word: &String| word.ends_with("id") || NO_CARD.contains(&word.as_str());
    let named = words.iter().any(|word| ["order", "invoice", "tracking"].contains(&word.as_str()));
    if named || words.last().is_some_and(id) { Solid::Kept } else { Solid::Masked }
}

/// The words of a name, in lower case: they end at what is no letter or digit, and where a capital follows a
/// small letter.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    // A name that is longer than this is none.
    for c in name.chars().take(256) {
        if !c.is_alphanumeric() || (small && c.is_uppercase()) {
            words.push(String::new());
        }
        small = c.is_lowercase();
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
