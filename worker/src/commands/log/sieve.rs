//! What the store has no index for: the sieve that attempts go through after they were read.

use carom_common::store::AttemptRecord;

/// Which attempts are let through; without a status and a text, all.
#[derive(Debug)]
pub struct Sieve {
    status: Option<Status>,
    text: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Is(u16),
    /// The hundreds.
    Class(u16),
    None,
}

/// Why a status was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no status: write one, as 404, or a class of them, as 4xx, or none where no answer came")]
pub struct NoStatus(String);

impl Sieve {
    /// Reads what was asked for.
    pub fn new(status: Option<&str>, text: Option<&str>) -> Result<Self, NoStatus> {
        Ok(Self { status: status.map(read).transpose()?, text: text.map(str::to_lowercase) })
    }

    /// Whether nothing is held back.
    pub fn lets_all(&self) -> bool {
        self.status.is_none() && self.text.is_none()
    }

    /// Whether an attempt is let through.
    pub fn lets(&self, attempt: &AttemptRecord) -> bool {
        let exchange = attempt.exchange.as_ref();
        let answered = exchange.and_then(|exchange| exchange.status);
        let fits = self.status.is_none_or(|status| match status {
            Status::Is(wanted) => answered == Some(wanted),
            Status::Class(hundreds) => answered.is_some_and(|answered| answered / 100 == hundreds),
            Status::None => answered.is_none(),
        });
        fits && self.text.as_ref().is_none_or(|text| {
            exchange.is_some_and(|exchange| {
                [&exchange.url, &exchange.request_headers, &exchange.request_body, &exchange.response]
                    .iter()
                    .any(|part| part.to_lowercase().contains(text))
            })
        })
    }
}

fn read(text: &str) -> Result<Status, NoStatus> {
    let refuse = || NoStatus(text.chars().take(20).collect());
    if text == "none" {
        return Ok(Status::None);
    }
    if let Some(hundreds) = text.strip_suffix("xx") {
        let class = hundreds.parse().ok().filter(|class| (1..=5).contains(class));
        return class.map(Status::Class).ok_or_else(refuse);
    }
    let status = text.parse().ok().filter(|status| (100..=599).contains(status));
    status.map(Status::Is).ok_or_else(refuse)
}
