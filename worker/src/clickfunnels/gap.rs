//! The gap: which records of a page never arrived, and how far the cursor may go.

use super::record::Record;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashSet};

/// What counts as missing.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The types that our endpoint is subscribed to: nothing else would have come.
    pub types: BTreeSet<String>,
    /// Records from before this are ripe; the deliveries of younger ones may be under way.
    pub ripe: Timestamp,
    /// Of records from before this nobody knows any more whether they came.
    pub oldest: Timestamp,
}

/// What a page of records comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// What never arrived.
    pub missing: Vec<Record>,
    /// How many are here.
    pub known: u64,
    /// How many are none of ours: of a type or version that we are not subscribed to, without an id, or too
    /// old to be told.
    pub passed_over: u64,
    /// How many are too young; nothing is read beyond the first of them.
    pub waiting: u64,
    /// The last record that is done with, once what is missing is safe.
    pub upto: Option<u64>,
}

/// Judges a page of records, whatever order they came in.
pub fn judge(mut records: Vec<Record>, known: &HashSet<String>, rules: &Rules) -> Judged {
    records.sort_by_key(|record| record.id);
    let mut judged = Judged::default();
    for record in records {
        if judged.waiting > 0 || record.at.is_some_and(|at| at > rules.ripe) {
            judged.waiting += 1;
            continue;
        }
        judged.upto = Some(record.id);
        if record.keys.iter().any(|key| known.contains(key)) {
            judged.known += 1;
        } else if is_ours(&record, rules) {
            judged.missing.push(record);
        } else {
            judged.passed_over += 1;
        }
    }
    judged
}

/// Whether our endpoint should have been sent it. What has version 1 goes to endpoints of version 1, and
/// comes again in version 2 for ours.
fn is_ours(record: &Record, rules: &Rules) -> bool {
    record.event_id.is_some()
        && record.api_version != Some(1)
        && rules.types.contains(&record.event_type)
        && record.at.is_none_or(|at| at >= rules.oldest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: u64, second: i64) -> Record {
        Record {
            id,
            event_id: Some(format!("event-{id}")),
            keys: vec![format!("cf:1:event-{id}"), format!("cf::event-{id}")],
            event_type: "order.created".to_owned(),
            at: Some(Timestamp::from_second(second).unwrap()),
            api_version: Some(2),
            body: Vec::new(),
        }
    }

    fn rules() -> Rules {
        Rules {
            types: ["order.created".to_owned()].into(),
            ripe: Timestamp::from_second(1_000).unwrap(),
            oldest: Timestamp::from_second(100).unwrap(),
        }
    }

    fn known(ids: &[u64]) -> HashSet<String> {
        ids.iter().map(|id| format!("cf:1:event-{id}")).collect()
    }

    fn missing(judged: &Judged) -> Vec<u64> {
        judged.missing.iter().map(|record| record.id).collect()
    }

    #[test]
    fn what_is_not_known_is_missing_in_whatever_order_the_page_came() {
        let records = vec![record(3, 300), record(1, 300), record(4, 300), record(2, 300)];
        let judged = judge(records, &known(&[1, 3]), &rules());
        assert_eq!(missing(&judged), [2, 4]);
        assert_eq!((judged.known, judged.passed_over, judged.waiting, judged.upto), (2, 0, 0, Some(4)));
    }

    #[test]
    fn the_cursor_stops_before_the_first_record_that_is_too_young_whatever_comes_after_it() {
        for (ages, ids, upto, waiting) in [
            ([900, 1_000, 1_001], vec![1, 2], Some(2), 1),
            // An older record behind a younger one waits with it, or the cursor would pass the younger.
            ([900, 1_001, 900], vec![1], Some(1), 2),
            ([1_001, 900, 900], vec![], None, 3),
        ] {
            let records = ages.iter().zip(1..).map(|(at, id)| record(id, *at)).collect();
            let judged = judge(records, &known(&[]), &rules());
            assert_eq!((missing(&judged), judged.upto, judged.waiting), (ids, upto, waiting), "{ages:?}");
        }
    }

    #[test]
    fn what_our_endpoint_would_not_have_been_sent_is_passed_over_and_the_cursor_passes_it() {
        let good = || record(1, 500);
        for (case, record, ours) in [
            ("as it is", good(), true),
            ("of no time", Record { at: None, ..good() }, true),
            ("of no version", Record { api_version: None, ..good() }, true),
            ("of another type", Record { event_type: "blogs/post.created".to_owned(), ..good() }, false),
            ("of version 1", Record { api_version: Some(1), ..good() }, false),
            ("without an id", Record { event_id: None, keys: vec![], ..good() }, false),
            ("older than the markers", record(1, 99), false),
            ("as old as the markers", record(1, 100), true),
        ] {
            let judged = judge(vec![record], &known(&[]), &rules());
            assert_eq!((judged.missing.len() == 1, judged.passed_over == 0), (ours, ours), "{case}");
            assert_eq!(judged.upto, Some(1), "{case}");
        }
    }

    #[test]
    fn what_came_is_known_even_where_it_would_not_have_been_asked_for() {
        let record = Record { event_type: "blogs/post.created".to_owned(), ..record(1, 50) };
        let judged = judge(vec![record], &known(&[1]), &rules());
        assert_eq!((judged.known, judged.passed_over), (1, 0));
    }

    #[test]
    fn an_empty_page_moves_nothing() {
        assert_eq!(judge(vec![], &known(&[]), &rules()), Judged::default());
    }
}
