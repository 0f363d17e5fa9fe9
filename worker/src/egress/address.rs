//! Which addresses a delivery may go to (guarantee G10): the globally reachable ones, and the ranges
//! that the operator allowed.
//!
//! A connector's URL is written by whoever may write connectors, and its name resolves to whatever its
//! owner's DNS says, so nothing here trusts either: every address is judged just before a connection is
//! made to it. Pure; the resolver and the check of IP literals call it.
//!
//! The ranges are IANA's special-purpose registries (RFC 6890 and its successors) where they say "not
//! globally reachable", the multicast and reserved blocks, and Azure's wire server, which answers on a
//! public address. An IPv6 address that leads to an IPv4 one is judged as the latter.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// An address that deliveries do not go to, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("address {address}{} is in {range} ({kind}), which the operator has not allowed", leading(.leads_to))]
pub struct Blocked {
    /// The address as it was written or resolved.
    pub address: IpAddr,
    /// The IPv4 address inside it, where it is a mapped, NAT64 or 6to4 address: the one that was judged.
    pub leads_to: Option<Ipv4Addr>,
    /// The refused range that it is in; the operator opens this, or a part of it, to open the address.
    pub range: IpNet,
    /// What that range is for.
    pub kind: &'static str,
}

fn leading(to: &Option<Ipv4Addr>) -> String {
    to.map(|to| format!(", which leads to {to},")).unwrap_or_default()
}

/// Whether a delivery may connect to `ip`: it is in one of the `allowed` ranges, or in none of the
/// refused ones.
pub fn vet(ip: IpAddr, allowed: &[IpNet]) -> Result<(), Blocked> {
    if allowed.iter().any(|range| range.contains(&ip)) {
        return Ok(());
    }
    if let IpAddr::V6(v6) = ip
        && let Some(v4) = embedded(v6)
    {
        return vet(v4.into(), allowed).map_err(|blocked| Blocked {
            address: ip,
            leads_to: Some(v4),
            ..blocked
        });
    }
    match refused(ip) {
        Some((range, kind)) => Err(Blocked { address: ip, leads_to: None, range, kind }),
        None => Ok(()),
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped (`::ffff:a.b.c.d`), NAT64 (`64:ff9b::/96`)
/// or 6to4 (`2002::/16`). Other forms that carry one, as Teredo, are refused as a whole.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let four = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(four(high, low)),
        [0x2002, high, low, ..] => Some(four(high, low)),
        _ => None,
    }
}

fn refused(ip: IpAddr) -> Option<(IpNet, &'static str)> {
    if let Some(found) = REFUSED.iter().find(|(range, _)| range.contains(&ip)) {
        return Some(*found);
    }
    // Only 2000::/3 has been given out as global unicast; what is outside is reserved, whatever is
    // made of it one day.
    match ip {
        IpAddr::V6(v6) if v6.segments()[0] >> 13 != 1 => Some((v6_net([0; 8], 0), "not global unicast")),
        _ => None,
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix))
}

const fn v6_net(s: [u16; 8], prefix: u8) -> IpNet {
    let address = Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]);
    IpNet::V6(Ipv6Net::new_assert(address, prefix))
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> IpNet {
    v6_net([a, b, c, 0, 0, 0, 0, 0], prefix)
}

/// The first match names the range, so what is narrower comes first.
const REFUSED: &[(IpNet, &str)] = &[
    (v4(127, 0, 0, 0, 8), "loopback"),
    (v4(10, 0, 0, 0, 8), "private"),
    (v4(172, 16, 0, 0, 12), "private"),
    (v4(192, 168, 0, 0, 16), "private"),
    (v4(169, 254, 0, 0, 16), "link-local, cloud metadata"),
    (v4(100, 64, 0, 0, 10), "carrier-grade NAT"),
    (v4(168, 63, 129, 16, 32), "Azure's wire server"),
    (v4(0, 0, 0, 0, 8), "this network"),
    (v4(192, 0, 0, 0, 24), "protocol assignments"),
    (v4(192, 0, 2, 0, 24), "documentation"),
    (v4(198, 51, 100, 0, 24), "documentation"),
    (v4(203, 0, 113, 0, 24), "documentation"),
    (v4(192, 88, 99, 0, 24), "6to4 relays"),
    (v4(198, 18, 0, 0, 15), "benchmarking"),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(255, 255, 255, 255, 32), "broadcast"),
    (v4(240, 0, 0, 0, 4), "reserved"),
    (v6(0, 0, 0, 128), "unspecified"),
    (v6_net([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback"),
    (v6(0, 0, 0, 96), "IPv4-compatible"),
    (v6(0x64, 0xff9b, 1, 48), "local NAT64"),
    (v6(0x100, 0, 0, 64), "discard"),
    (v6(0x2001, 0, 0, 32), "Teredo"),
    (v6(0x2001, 0, 0, 23), "protocol assignments"),
    (v6(0x2001, 0xdb8, 0, 32), "documentation"),
    (v6(0x3fff, 0, 0, 20), "documentation"),
    (v6(0x5f00, 0, 0, 16), "segment routing"),
    (v6(0xfc00, 0, 0, 7), "unique local"),
    (v6(0xfe80, 0, 0, 10), "link-local"),
    (v6(0xfec0, 0, 0, 10), "site-local"),
    (v6(0xff00, 0, 0, 8), "multicast"),
];

#[cfg(test)]
mod tests;
