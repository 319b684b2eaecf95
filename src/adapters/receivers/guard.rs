//! Which addresses may be dialled. Checked on the address itself, after names are resolved and at
//! every connection, so that a name which changes its address between two looks gains nothing.
//!
//! A receiver's URL is configuration, but configuration is templated, shared and pasted: one that
//! points at a cloud's metadata service would hand this machine's credentials to whoever reads the
//! dead letters. Deliberately absent: names. Only addresses are judged. Behind a proxy the address
//! dialled is the proxy's, and what the proxy dials is its own matter.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Metadata services that lie outside of the link-local ranges.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(100, 96, 0, 96),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
];

/// Which addresses may be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressGuard {
    /// Link-local addresses and cloud metadata services. Refused by default.
    pub allow_link_local: bool,
    /// Private networks and this machine. Allowed by default: self-hosted receivers are normal.
    pub allow_private: bool,
}

impl Default for AddressGuard {
    fn default() -> Self {
        Self { allow_link_local: false, allow_private: true }
    }
}

impl AddressGuard {
    /// Whether an address may be dialled.
    ///
    /// # Errors
    /// It may not; the error says what it is.
    pub fn check(self, address: IpAddr) -> Result<(), Forbidden> {
        let what = [address.to_canonical()]
            .into_iter()
            .chain(embedded_v4(address).map(IpAddr::V4))
            .find_map(|address| self.forbids(address));
        match what {
            Some(what) => Err(Forbidden { address, what }),
            None => Ok(()),
        }
    }

    fn forbids(self, address: IpAddr) -> Option<&'static str> {
        let (link_local, metadata, private) = match address {
            IpAddr::V4(v4) => (v4.is_link_local(), METADATA_V4.contains(&v4), is_private_v4(v4)),
            IpAddr::V6(v6) => (
                v6.is_unicast_link_local(),
                METADATA_V6.contains(&v6),
                v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local(),
            ),
        };
        if metadata && !self.allow_link_local {
            Some("a cloud's metadata service")
        } else if link_local && !self.allow_link_local {
            Some("link-local, where clouds keep their metadata service")
        } else if private && !metadata && !self.allow_private {
            Some("on a private network or this machine")
        } else {
            None
        }
    }
}

/// Private networks, carriers' shared space, this machine, and "this network", which Linux takes
/// for this machine.
fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_private() || address.is_loopback() || a == 0 || (a == 100 && (64..128).contains(&b))
}

/// Whether an address is this machine's loopback, in any spelling.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The IPv4 address that an IPv6 address leads to: IPv4-compatible, translated (SIIT), NAT64 with
/// either well-known prefix, 6to4. (IPv4-mapped ones are made canonical before.)
fn embedded_v4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(v4(high, low)),
        [0, 0, 0, 0, 0xffff, 0, high, low] => Some(v4(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x64, 0xff9b, 1, .., high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// An address that may not be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("address {address} is {what}")]
pub struct Forbidden {
    /// The address.
    pub address: IpAddr,
    what: &'static str,
}

/// How names are looked up; the port of an address found is replaced by the URL's where it is 0.
pub type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The system's way.
pub(super) fn system() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
    })
}

/// Looks names up and drops the addresses that may not be dialled.
pub(super) struct GuardedResolver(pub(super) AddressGuard, pub(super) Lookup);

impl fmt::Debug for GuardedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuardedResolver({:?})", self.0)
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0;
        let found = self.1(name.as_str().to_owned());
        Box::pin(async move {
            let allowed = allowed(guard, found.await?)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The addresses that may be dialled.
fn allowed(guard: AddressGuard, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Forbidden> {
    let mut refused = None;
    let allowed: Vec<_> = found
        .into_iter()
        .filter(|address| match guard.check(address.ip()) {
            Ok(()) => true,
            Err(forbidden) => {
                refused = Some(forbidden);
                false
            }
        })
        .collect();
    match refused {
        Some(forbidden) if allowed.is_empty() => Err(forbidden),
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_refused_in_every_spelling_and_the_rest_is_not() {
        let guard = AddressGuard::default();
        let cases = [
            ("169.254.169.254", false),
            ("169.254.0.23", false),
            ("100.100.100.200", false),
            ("168.63.129.16", false),
            ("fe80::1", false),
            ("febf::1", false),
            ("fd00:ec2::254", false),
            ("::ffff:169.254.169.254", false),
            ("::ffff:100.100.100.200", false),
            ("::169.254.169.254", false),
            ("::ffff:0:169.254.169.254", false),
            ("64:ff9b::169.254.169.254", false),
            ("64:ff9b:1::169.254.169.254", false),
            ("2002:a9fe:a9fe::1", false),
            ("2002:6464:64c8::", false),
            ("127.0.0.1", true),
            ("::1", true),
            ("0.0.0.0", true),
            ("10.0.0.1", true),
            ("100.100.100.201", true),
            ("192.168.1.1", true),
            ("fd00:ec2::253", true),
            ("fec0::1", true),
            ("169.253.255.255", true),
            ("169.255.0.0", true),
            ("64:ff9b::1.2.3.4", true),
            ("2002:102:304::1", true),
            ("2606:4700::1111", true),
            ("8.8.8.8", true),
        ];
        for (address, may) in cases {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(guard.check(address).is_ok(), may, "{address}");
        }
    }

    #[test]
    fn private_networks_are_refused_where_the_setting_says_so() {
        let guard = AddressGuard { allow_private: false, ..Default::default() };
        for private in ["127.0.0.1", "::1", "0.0.0.0", "::", "10.1.2.3", "172.16.0.1", "fd12::1"]
            .into_iter()
            .chain(["192.168.0.1", "100.64.0.1", "::ffff:127.0.0.1", "64:ff9b::10.0.0.1"])
        {
            assert!(guard.check(private.parse().unwrap()).is_err(), "{private}");
        }
        assert!(guard.check("93.184.216.34".parse().unwrap()).is_ok());
    }

    #[test]
    fn both_ranges_are_settings_of_their_own() {
        let open = AddressGuard { allow_link_local: true, allow_private: false };
        assert!(open.check("169.254.169.254".parse().unwrap()).is_ok());
        assert!(open.check("100.100.100.200".parse().unwrap()).is_ok());
        assert!(open.check("10.0.0.1".parse().unwrap()).is_err());
    }

    #[test]
    fn a_name_keeps_the_addresses_that_may_be_dialled() {
        let at = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        let guard = AddressGuard::default();
        let mixed = vec![at("169.254.169.254"), at("8.8.8.8")];
        assert_eq!(allowed(guard, mixed).unwrap(), [at("8.8.8.8")]);
        assert!(allowed(guard, vec![at("169.254.169.254"), at("fe80::1")]).is_err());
        assert_eq!(allowed(guard, vec![]).unwrap(), []);
    }
}
