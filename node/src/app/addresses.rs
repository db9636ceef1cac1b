//! Addresses: which are of this machine alone, and which peers reach this node by.

use crate::driver::DriverHandle;
use crate::net::{Multiaddr, NetHandle};
use larder_engine::{Command, Input};
use libp2p::multiaddr::Protocol;

/// Whether an address is of this machine alone. Who listens at one means to meet others there; to
/// everybody else, such an address in gossip is only a way to make us dial our own services.
pub(crate) fn is_loopback(addr: &Multiaddr) -> bool {
    match addr.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.to_canonical().is_loopback(),
        Some(_) | None => false,
    }
}

/// Tells the engine where peers reach this node.
pub(super) async fn tell_addresses(driver: &DriverHandle, net: &NetHandle) {
    let addrs = net.listen_addrs().await.unwrap_or_default();
    let addrs = addrs.iter().map(ToString::to_string).collect();
    let told = Input::Command(Command::Addresses(addrs));
    if driver.input(told).await.is_err() {
        tracing::debug!("the engine has stopped");
    }
}

/// Tells the engine something at the start.
pub(super) async fn tell(driver: &DriverHandle, command: Command) {
    if driver.input(Input::Command(command)).await.is_err() {
        tracing::debug!("the engine has stopped");
    }
}
