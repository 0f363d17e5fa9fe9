//! Who is at the other end: the client's address, and whether they came by https.
//!
//! A header is believed only where a proxy that the operator trusts has written it. What a client writes
//! into it stands to the left of what the proxies append, so it is read from the right, and never beyond the
//! first address that is none of theirs.

mod forwarded;

use carom_common::config::{self, ForwardedHeader};
use http::header::{FORWARDED, HeaderMap};
use http::request::Parts;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Who has connected. The server puts it with each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// What is known of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Its address. None where a trusted proxy does not say it: the proxy's own is nobody's.
    pub address: Option<IpAddr>,
    /// Whether its request came by https.
    pub https: bool,
}

/// What a proxy says of a request that it passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hop {
    /// From whom.
    address: IpAddr,
    /// Whether by https.
    https: bool,
}

impl Client {
    /// The client of a request.
    pub fn of(head: &Parts, limits: &config::Ingest) -> Self {
        let trusted =
            |address: &IpAddr| limits.trusted_proxies.iter().any(|network| network.contains(address));
        let peer = head.extensions.get::<Peer>().map(|Peer(address)| address.to_canonical());
        if !peer.as_ref().is_some_and(trusted) {
            // Where no proxy is named there may be one nonetheless, which ends TLS. A client that forges
            // this header changes its own cookie, and nothing else.
            let https = limits.trusted_proxies.is_empty() && forwarded_by_https(&head.headers);
            return Self { address: peer, https };
        }
        // The last line first. A line is read for itself: what a client has left open in its own swallows
        // nothing of a proxy's.
        let last_first = |name: &str| -> Vec<String> {
            let lines = head.headers.get_all(name).iter().rev();
            lines.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned()).collect()
        };
        // Nothing is believed beyond what cannot be read.
        let client = |hops: &mut dyn Iterator<Item = Option<Hop>>| {
            hops.map_while(|hop| hop).find(|hop| !trusted(&hop.address))
        };
        match limits.forwarded_header {
            ForwardedHeader::XForwardedFor => {
                let https = forwarded_by_https(&head.headers);
                let lines = last_first("x-forwarded-for");
                let said = lines.iter().flat_map(|line| line.rsplit(','));
                let mut hops = said.map(|text| Some(Hop { address: address(text)?, https }));
                Self { address: client(&mut hops).map(|hop| hop.address), https }
            }
            ForwardedHeader::Forwarded => {
                let lines = last_first(FORWARDED.as_str());
                let mut hops = lines.iter().flat_map(|line| forwarded::hops(line).into_iter().rev());
                let found = client(&mut hops);
                Self { address: found.map(|hop| hop.address), https: found.is_some_and(|hop| hop.https) }
            }
        }
    }
}

/// Whether the first proxy was reached by https, as `X-Forwarded-Proto` has it.
fn forwarded_by_https(headers: &HeaderMap) -> bool {
    let protocol = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok()).unwrap_or_default();
    protocol.split(',').next().unwrap_or_default().trim().eq_ignore_ascii_case("https")
}

/// An address as proxies write it: alone, in brackets, or with a port. An IPv4 address in IPv6's clothes is
/// an IPv4 address.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let with_port = || text.parse::<SocketAddr>().ok().map(|both| both.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let found = text.parse().ok().or_else(with_port).or_else(in_brackets)?;
    Some(found.to_canonical())
}

/// What may be kept of an address: the network of a town or a provider, not of a household. /24 of IPv4, /48
/// of IPv6; and of 6to4 (2002::/16), which holds an IPv4 address in its first 48 bits, as much as of that.
pub fn network(address: IpAddr) -> IpNet {
    let network = match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Net::new(address, 24).map(IpNet::V4),
        IpAddr::V6(address) => {
            let bits = if address.segments()[0] == 0x2002 { 40 } else { 48 };
            Ipv6Net::new(address, bits).map(IpNet::V6)
        }
    };
    network.unwrap_or(IpNet::from(IpAddr::from([0; 4]))).trunc()
}

#[cfg(test)]
mod tests;
