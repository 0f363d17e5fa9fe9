//! Names that do not resolve, that lead inside, or that lead to too much: what the system's resolver says of them,
//! asked of a name server of the scenario's own, in a mount namespace with a resolv.conf of its own.

use anyhow::{Result, ensure};
use carom_tests::accounting::{Account, Weather, drained};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::load::{Accepted, Sent};
use carom_tests::metrics::{self, samples};
use carom_tests::name_server::{NameServer, Reply};
use carom_tests::namespace::Namespace;
use carom_tests::receiver::{Answer, Receiver};
use carom_tests::resources::{Connector, Resources};
use carom_tests::stack::{Binary, Setup};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Each name, and the class of an attempt while it is as it is.
const NAMES: [(&str, &str); 6] = [
    ("servfail", "dns"),
    ("nxdomain", "dns"),
    ("silent", "dns"),
    ("empty", "dns"),
    ("inside", "blocked"),
    ("thousand", "2xx"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_do_not_resolve_or_lead_inside_cost_attempts_and_nothing_else() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    // Every attempt asks for the name anew.
    receiver.answer(Arc::new(|_| Answer {
        headers: vec![("connection", "close".to_owned())],
        ..Answer::status(200)
    }));
    let names = NameServer::start()?;
    let here = Ipv4Addr::LOCALHOST;
    names.say("servfail.example", Reply::Servfail);
    names.say("silent.example", Reply::Silence);
    names.say("empty.example", Reply::Addresses(Vec::new()));
    names.say(
        "inside.example",
        Reply::Addresses(vec![Ipv4Addr::new(10, 1, 2, 3), "169.254.169.254".parse()?]),
    );
    // The receiver is the third of them; the others refuse.
    let thousand = (0..1_000_u32).map(|n| if n == 2 { here } else { (0x7f10_0000 + n).into() });
    names.say("thousand.example", Reply::Addresses(thousand.collect()));
    names.say("turning.example", Reply::Addresses(vec![here]));
    names.say("fine.example", Reply::Addresses(vec![here]));

    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("resolv.conf"), names.resolv_conf())?;
    std::fs::write(dir.path().join("nsswitch.conf"), "hosts: files dns\n")?;
    let mounts = "for name in resolv.conf nsswitch.conf; do
                      mount --bind \"$1/$name\" \"$(readlink -f /etc/$name)\"
                  done";
    let namespace = Namespace::new(dir.path(), mounts).await?;
    let port = receiver.address().port();
    let all = NAMES.map(|(name, _)| name).into_iter().chain(["turning", "fine"]);
    let resources = all.clone().fold(Resources::new(), |resources, name| {
        let url = format!("http://{name}.example:{port}/{name}");
        resources.with(Connector::get(name, url).triggers(&[name]).line("timeout = \"1s\""))
    });
    let stack = Setup::new(&resources)
        .env("CAROM_RETRY_SCHEDULE", "500ms,1s,2s,3s,4s,5s,6s,7s")
        .env("CAROM_WORKER_BREAKER_FAILURES", "0")
        .within(&namespace)
        .start(&broker)
        .await?;

    let mut sent = Sent::default();
    let mut send = async |name: &str, number: usize| -> Result<()> {
        let tx = format!("{name}-{number}");
        let id = stack.plain(&[("event", name), ("txid", &tx)]).await?;
        sent.accepted.insert(tx, Accepted::plain(id));
        Ok(())
    };
    for name in all {
        send(name, 0).await?;
    }
    let at = |path: &'static str| move |request: &carom_tests::receiver::Received| request.path == path;
    receiver.wait_for(secs(10), 1, at("/fine")).await?;
    receiver.wait_for(secs(10), 1, at("/turning")).await?;
    // First open, then inside: the check is of the very address that is connected to.
    names.say("turning.example", Reply::Addresses(vec![Ipv4Addr::new(10, 9, 8, 7)]));
    send("turning", 1).await?;
    let expected = NAMES.into_iter().chain([("turning", "blocked")]);
    let text = eventually(secs(20), "every name has had its attempt", async || {
        let text = stack.metrics(Binary::Worker).await?;
        for (name, class) in expected.clone() {
            let labels = [("connector", name), ("class", class)];
            let attempts = metrics::sum(&text, "carom_attempts_total", &labels);
            ensure!(attempts >= Some(1.0), "{name}: {attempts:?}, wanted {class}");
        }
        Ok(text)
    })
    .await?;
    for (name, class) in expected {
        let mine = samples(&text).into_iter().filter(|sample| {
            sample.name == "carom_attempts_total"
                && sample.labels.get("connector").is_some_and(|connector| connector == name)
        });
        let found: Vec<_> = mine.map(|sample| (sample.labels["class"].clone(), sample.value)).collect();
        println!("{name:<10} {found:?}");
        let others =
            found.iter().filter(|(found, _)| found != class && (name, &**found) != ("turning", "2xx"));
        assert_eq!(others.count(), 0, "{name}: {found:?}");
    }
    // What leads inside is given up at once: another attempt would only find the same.
    let letters = stack.letters_become(2, &["--reason", "blocked_address"]).await?;
    assert!(letters.iter().all(|letter| letter["connector"] == "inside" || letter["connector"] == "turning"));

    for name in ["servfail", "nxdomain", "silent", "empty", "inside", "turning"] {
        names.say(&format!("{name}.example"), Reply::Addresses(vec![here]));
    }
    stack.carom_ok(&["dlq", "replay", "--all"]).await?;
    let account = Account::settle(&stack, &receiver, &sent, Weather::Rough, secs(40)).await?;
    println!("names: {account}");
    account.must_be_whole()?;
    assert_eq!((account.dead, account.duplicates), (0, 0));
    drained(stack.vhost()?, secs(20)).await?;
    stack.finish().await
}
