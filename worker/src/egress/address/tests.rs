use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Address, and what it is refused as; `None` where it is open to deliveries.
const TABLE: &[(&str, Option<&str>)] = &[
    // Both edges of each range, and the open addresses beside them.
    ("0.0.0.0", Some("this network")),
    ("0.255.255.255", Some("this network")),
    ("1.0.0.0", None),
    ("9.255.255.255", None),
    ("10.0.0.0", Some("private")),
    ("10.255.255.255", Some("private")),
    ("11.0.0.0", None),
    ("100.63.255.255", None),
    ("100.64.0.0", Some("carrier-grade NAT")),
    ("100.100.100.200", Some("carrier-grade NAT")),
    ("100.127.255.255", Some("carrier-grade NAT")),
    ("100.128.0.0", None),
    ("126.255.255.255", None),
    ("127.0.0.0", Some("loopback")),
    ("127.0.0.1", Some("loopback")),
    ("127.255.255.255", Some("loopback")),
    ("128.0.0.0", None),
    ("168.63.129.15", None),
    ("168.63.129.16", Some("Azure's wire server")),
    ("168.63.129.17", None),
    ("169.253.255.255", None),
    ("169.254.0.0", Some("link-local, cloud metadata")),
    ("169.254.169.254", Some("link-local, cloud metadata")),
    ("169.254.255.255", Some("link-local, cloud metadata")),
    ("169.255.0.0", None),
    ("172.15.255.255", None),
    ("172.16.0.0", Some("private")),
    ("172.31.255.255", Some("private")),
    ("172.32.0.0", None),
    ("191.255.255.255", None),
    ("192.0.0.0", Some("protocol assignments")),
    ("192.0.0.255", Some("protocol assignments")),
    ("192.0.1.0", None),
    ("192.0.2.0", Some("documentation")),
    ("192.0.2.255", Some("documentation")),
    ("192.0.3.0", None),
    ("192.88.99.1", Some("6to4 relays")),
    ("192.167.255.255", None),
    ("192.168.0.0", Some("private")),
    ("192.168.255.255", Some("private")),
    ("192.169.0.0", None),
    ("198.17.255.255", None),
    ("198.18.0.0", Some("benchmarking")),
    ("198.19.255.255", Some("benchmarking")),
    ("198.20.0.0", None),
    ("198.51.100.0", Some("documentation")),
    ("198.51.100.255", Some("documentation")),
    ("198.51.101.0", None),
    ("203.0.112.255", None),
    ("203.0.113.0", Some("documentation")),
    ("203.0.113.255", Some("documentation")),
    ("203.0.114.0", None),
    ("223.255.255.255", None),
    ("224.0.0.0", Some("multicast")),
    ("239.255.255.255", Some("multicast")),
    ("240.0.0.0", Some("reserved")),
    ("255.255.255.254", Some("reserved")),
    ("255.255.255.255", Some("broadcast")),
    ("8.8.8.8", None),
    ("::", Some("unspecified")),
    ("::1", Some("loopback")),
    ("::2", Some("IPv4-compatible")),
    ("::127.0.0.1", Some("IPv4-compatible")),
    ("::8.8.8.8", Some("IPv4-compatible")),
    ("::1:0:0:0", Some("not global unicast")),
    ("64:ff9b:1::", Some("local NAT64")),
    ("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", Some("local NAT64")),
    ("64:ff9b::1:0:0", Some("not global unicast")),
    ("64:ff9b:2::", Some("not global unicast")),
    ("100::", Some("discard")),
    ("100::ffff:ffff:ffff:ffff", Some("discard")),
    ("100:0:0:1::", Some("not global unicast")),
    ("1fff:ffff::", Some("not global unicast")),
    ("2000::", None),
    ("2001::", Some("Teredo")),
    ("2001:0:ffff::1", Some("Teredo")),
    ("2001:1::", Some("protocol assignments")),
    ("2001:1ff:ffff::", Some("protocol assignments")),
    ("2001:200::", None),
    ("2001:db7:ffff::", None),
    ("2001:db8::", Some("documentation")),
    ("2001:db8:ffff:ffff::1", Some("documentation")),
    ("2001:db9::", None),
    ("2606:4700:4700::1111", None),
    ("3ffe:ffff::", None),
    ("3fff::", Some("documentation")),
    ("3fff:fff:ffff::", Some("documentation")),
    ("3fff:1000::", None),
    ("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None),
    ("4000::", Some("not global unicast")),
    ("5f00::1", Some("segment routing")),
    ("fbff::1", Some("not global unicast")),
    ("fc00::", Some("unique local")),
    ("fd00:ec2::254", Some("unique local")),
    ("fdff:ffff::1", Some("unique local")),
    ("fe80::1", Some("link-local")),
    ("febf:ffff::1", Some("link-local")),
    ("fec0::1", Some("site-local")),
    ("feff::1", Some("site-local")),
    ("ff02::1", Some("multicast")),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("multicast")),
    // What leads to an IPv4 address is judged as that address.
    ("::ffff:127.0.0.1", Some("loopback")),
    ("::ffff:169.254.169.254", Some("link-local, cloud metadata")),
    ("::ffff:8.8.8.8", None),
    ("::fffe:8.8.8.8", Some("not global unicast")),
    ("::ffff:0:8.8.8.8", Some("not global unicast")),
    ("64:ff9b::10.0.0.1", Some("private")),
    ("64:ff9b::8.8.8.8", None),
    ("2002:7f00:1::", Some("loopback")),
    ("2002:a9fe:a9fe::1", Some("link-local, cloud metadata")),
    ("2002:a83f:8110::", Some("Azure's wire server")),
    ("2002:808:808::1", None),
];

#[test]
fn each_range_is_refused_from_edge_to_edge() {
    let differing: Vec<_> = TABLE
        .iter()
        .filter_map(|(address, expected)| {
            let got = vet(ip(address), &[]).err().map(|blocked| blocked.kind);
            (got != *expected).then_some((address, expected, got))
        })
        .collect();
    assert!(differing.is_empty(), "address, expected, got: {differing:#?}");
}

#[test]
fn an_allowed_range_opens_itself_and_nothing_beside_it() {
    let allowed: Vec<IpNet> = ["10.1.0.0/16", "fd00:1::/32"].map(|range| range.parse().unwrap()).to_vec();
    for open in ["10.1.0.0", "10.1.255.255", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd00:1::1"] {
        assert_eq!(vet(ip(open), &allowed), Ok(()), "{open}");
    }
    for shut in ["10.0.255.255", "10.2.0.0", "::ffff:10.2.0.0", "127.0.0.1", "fd00:2::1", "::1"] {
        assert!(vet(ip(shut), &allowed).is_err(), "{shut}");
    }
}

#[test]
fn a_refusal_names_the_address_the_one_inside_it_and_the_range() {
    assert_eq!(
        vet(ip("192.168.1.5"), &[]).unwrap_err().to_string(),
        "address 192.168.1.5 is in 192.168.0.0/16 (private), which the operator has not allowed"
    );
    assert_eq!(
        vet(ip("64:ff9b::a9fe:a9fe"), &[]).unwrap_err().to_string(),
        "address 64:ff9b::a9fe:a9fe, which leads to 169.254.169.254, is in 169.254.0.0/16 (link-local, \
         cloud metadata), which the operator has not allowed"
    );
}

proptest! {
    #[test]
    fn nothing_that_the_standard_library_calls_special_gets_through(bits: u32) {
        let v4 = Ipv4Addr::from_bits(bits);
        if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
            || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified()
        {
            prop_assert!(vet(v4.into(), &[]).is_err());
        }
        // No spelling of an IPv4 address is judged differently from the address.
        let [a, b] = [(bits >> 16) as u16, bits as u16];
        for other in [
            v4.to_ipv6_mapped(),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b),
            Ipv6Addr::new(0x2002, a, b, 0, 0, 0, 0, 1),
        ] {
            prop_assert_eq!(vet(other.into(), &[]).is_ok(), vet(v4.into(), &[]).is_ok());
        }
    }
}
