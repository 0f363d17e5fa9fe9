//! Checking the two halves of a connector against each other, and the code of its pixel.

use super::{Place, at, fault};
use crate::config::Fault;
use crate::connector::Connector;
use crate::pixel::Code;
use crate::postback;

/// What is wrong with a connector's pixel, and with a connector that has neither half.
pub(super) fn check(
    connector: &Connector,
    place: &Place,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) {
    let Some(pixel) = &connector.pixel else {
        if connector.webhook.is_none() {
            let remedy = "give it a [connector.webhook], a [connector.pixel] or both";
            faults.push(fault(place, "webhook", "there is neither a webhook nor a pixel", remedy));
        }
        return;
    };
    if let Err(found) = Code::parse(&pixel.code) {
        let told = found.into_iter().map(|found| {
            let in_file =
                place.code_line.map(|first| format!(" (line {} of the file)", first + found.line - 1));
            let in_file = in_file.unwrap_or_default();
            let problem = format!("line {}, column {}{in_file}: {}", found.line, found.column, found.problem);
            fault(place, "pixel.code", problem, found.advice)
        });
        faults.extend(told);
    }
    let found = postback::renaming(&pixel.rename);
    faults.extend(found.into_iter().map(|fault| at(place, "pixel.", fault)));
    if pixel.enabled && !pixel.sandbox {
        let problem = "it runs in the page itself, where it can read and change everything: the document, cookies, \
                       storage, dataLayer, what the visitor types";
        let remedy = "leave out `sandbox = false` unless it needs the page";
        warnings.push(fault(place, "pixel.sandbox", problem, remedy));
    }
}
