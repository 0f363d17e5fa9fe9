use super::*;
use carom_common::config::Config;
use http::Request;

fn limits(header: ForwardedHeader, trusted: &[&str]) -> config::Ingest {
    let mut limits = Config::load(None).unwrap().ingest;
    limits.trusted_proxies = trusted.iter().map(|network| network.parse().unwrap()).collect();
    limits.forwarded_header = header;
    limits
}

fn client(peer: &str, lines: &[(&str, &str)], limits: &config::Ingest) -> Client {
    let mut request = Request::builder();
    for (name, value) in lines {
        let value = http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request = request.header(*name, value);
    }
    let mut head = request.body(()).unwrap().into_parts().0;
    if !peer.is_empty() {
        head.extensions.insert(Peer(peer.parse().unwrap()));
    }
    Client::of(&head, limits)
}

const PROXIES: [&str; 3] = ["10.0.0.0/8", "192.0.2.7/32", "2001:db8:ffff::/48"];

#[test]
fn the_client_is_the_first_from_the_right_who_is_no_proxy_of_ours() {
    let limits = limits(ForwardedHeader::XForwardedFor, &PROXIES);
    // Who has connected, the lines of X-Forwarded-For, the client.
    type Row = (&'static str, &'static [&'static str], Option<&'static str>);
    let table: &[Row] = &[
        // Nobody whom we trust: the header is the client's own invention.
        ("203.0.113.9", &[], Some("203.0.113.9")),
        ("203.0.113.9", &["198.51.100.1"], Some("203.0.113.9")),
        ("203.0.113.9", &["198.51.100.1, 10.0.0.1"], Some("203.0.113.9")),
        ("192.0.2.8", &["198.51.100.1"], Some("192.0.2.8")),
        ("2001:db8::1", &["198.51.100.1"], Some("2001:db8::1")),
        // A proxy of ours, and a chain of them.
        ("10.0.0.1", &["198.51.100.1"], Some("198.51.100.1")),
        ("192.0.2.7", &[" 198.51.100.1 "], Some("198.51.100.1")),
        ("10.0.0.1", &["198.51.100.1, 192.0.2.7, 10.9.9.9"], Some("198.51.100.1")),
        ("10.0.0.1", &["198.51.100.1", "192.0.2.7"], Some("198.51.100.1")),
        // What the client has put before is not believed.
        ("10.0.0.1", &["1.1.1.1, 198.51.100.1"], Some("198.51.100.1")),
        ("10.0.0.1", &["1.1.1.1", "198.51.100.1"], Some("198.51.100.1")),
        ("10.0.0.1", &["10.0.0.2, 198.51.100.1, 10.0.0.2"], Some("198.51.100.1")),
        ("10.0.0.1", &["nonsense, 198.51.100.1"], Some("198.51.100.1")),
        ("10.0.0.1", &["gar\u{e9}bage", "198.51.100.1"], Some("198.51.100.1")),
        ("10.0.0.1", &[", 198.51.100.1"], Some("198.51.100.1")),
        // Nothing is believed beyond what cannot be read.
        ("10.0.0.1", &["198.51.100.1, nonsense"], None),
        ("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], None),
        ("10.0.0.1", &["198.51.100.1,"], None),
        ("10.0.0.1", &["198.51.100.1, 010.0.0.2"], None),
        ("10.0.0.1", &["198.51.100.256"], None),
        ("10.0.0.1", &["198.51.100.1 10.0.0.2"], None),
        // The proxies' own addresses are nobody's.
        ("10.0.0.1", &[], None),
        ("10.0.0.1", &[""], None),
        ("10.0.0.1", &["10.0.0.2, 10.0.0.3"], None),
        // IPv6, ports, and IPv4 in IPv6's clothes.
        ("2001:db8:ffff::1", &["2001:db8:1::5"], Some("2001:db8:1::5")),
        ("10.0.0.1", &["2001:db8:1::5, 2001:db8:ffff::2"], Some("2001:db8:1::5")),
        ("10.0.0.1", &["[2001:db8:1::5]:4711"], Some("2001:db8:1::5")),
        ("10.0.0.1", &["[2001:db8:1::5]"], Some("2001:db8:1::5")),
        ("10.0.0.1", &["198.51.100.1:4711, 10.0.0.2:80"], Some("198.51.100.1")),
        ("10.0.0.1", &["[198.51.100.1]"], None),
        ("10.0.0.1", &["fe80::1%eth0"], None),
        ("::ffff:10.0.0.1", &["198.51.100.1"], Some("198.51.100.1")),
        ("::ffff:203.0.113.9", &["198.51.100.1"], Some("203.0.113.9")),
        ("10.0.0.1", &["::ffff:198.51.100.1, ::ffff:10.0.0.2"], Some("198.51.100.1")),
        // A request that came by no connection, as in a test, is nobody's.
        ("", &["198.51.100.1"], None),
    ];
    for (peer, lines, expected) in table {
        let mut headers: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        headers.push(("forwarded", "for=8.8.8.8"));
        headers.push(("x-real-ip", "8.8.4.4"));
        let found = client(peer, &headers, &limits).address.map(|address| address.to_string());
        assert_eq!(found.as_deref(), *expected, "{peer} {lines:?}");
    }
}

#[test]
fn the_forwarded_header_is_read_where_the_proxies_write_it() {
    let limits = limits(ForwardedHeader::Forwarded, &PROXIES);
    type Row = (&'static str, &'static [&'static str], Option<&'static str>, bool);
    let table: &[Row] = &[
        ("203.0.113.9", &["for=198.51.100.1;proto=https"], Some("203.0.113.9"), false),
        ("10.0.0.1", &["for=198.51.100.1"], Some("198.51.100.1"), false),
        ("10.0.0.1", &["For=\"198.51.100.1:80\"; Proto=HTTPS;by=10.0.0.1"], Some("198.51.100.1"), true),
        ("10.0.0.1", &["for=\"[2001:db8:1::5]:4711\";proto=http"], Some("2001:db8:1::5"), false),
        (
            "10.0.0.1",
            &["for=1.1.1.1, for=198.51.100.1;proto=https, for=10.0.0.2"],
            Some("198.51.100.1"),
            true,
        ),
        (
            "10.0.0.1",
            &["for=198.51.100.1;proto=https", "for=10.0.0.2;proto=http"],
            Some("198.51.100.1"),
            true,
        ),
        ("10.0.0.1", &["host=\"a,b;c=\\\"d\";for=198.51.100.1"], Some("198.51.100.1"), false),
        // A quote that a client leaves open swallows the proxy's words on its line, and is believed nothing.
        ("10.0.0.1", &["for=1.1.1.1, x=\", for=198.51.100.1"], None, false),
        ("10.0.0.1", &["for=1.1.1.1;x=\"", "for=198.51.100.1"], Some("198.51.100.1"), false),
        ("10.0.0.1", &["for=198.51.100.1, for=unknown"], None, false),
        ("10.0.0.1", &["for=198.51.100.1, for=_hidden"], None, false),
        ("10.0.0.1", &["for=198.51.100.1, proto=https"], None, false),
        ("10.0.0.1", &["for=198.51.100.1;for=1.1.1.1"], None, false),
        ("10.0.0.1", &["198.51.100.1"], None, false),
        ("10.0.0.1", &["for=\"198.51.100.1"], None, false),
        ("10.0.0.1", &[""], None, false),
        ("10.0.0.1", &[], None, false),
    ];
    for (peer, lines, address, https) in table {
        let mut headers: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
        headers.push(("x-forwarded-for", "8.8.8.8"));
        headers.push(("x-forwarded-proto", "https"));
        let found = client(peer, &headers, &limits);
        let expected = Client { address: address.map(|address| address.parse().unwrap()), https: *https };
        assert_eq!(found, expected, "{peer} {lines:?}");
    }
}

#[test]
fn https_is_believed_of_trusted_proxies_and_of_anybody_where_none_is_named() {
    let (none, some) =
        (limits(ForwardedHeader::XForwardedFor, &[]), limits(ForwardedHeader::XForwardedFor, &PROXIES));
    for (peer, limits, proto, https) in [
        ("203.0.113.9", &none, "https", true),
        ("203.0.113.9", &none, "HTTPS, http", true),
        ("203.0.113.9", &none, "http", false),
        ("203.0.113.9", &none, "", false),
        ("", &none, "https", true),
        ("203.0.113.9", &some, "https", false),
        ("10.0.0.1", &some, "https", true),
        ("10.0.0.1", &some, "http, https", false),
    ] {
        assert_eq!(client(peer, &[("x-forwarded-proto", proto)], limits).https, https, "{peer} {proto}");
    }
}

#[test]
fn no_address_of_a_household_is_kept() {
    for (address, kept) in [
        ("198.51.100.77", "198.51.100.0/24"),
        ("::ffff:198.51.100.77", "198.51.100.0/24"),
        ("0.0.0.0", "0.0.0.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("::1", "::/48"),
        ("2002:c633:644d::1", "2002:c633:6400::/40"),
    ] {
        assert_eq!(network(address.parse().unwrap()).to_string(), kept, "{address}");
    }
}
