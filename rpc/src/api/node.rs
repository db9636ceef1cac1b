//! `node_*`: this node: what it is, whom it knows, how it is.

use crate::types::{
    Alert, ConfigChanged, Connectivity, Doctor, NodeConfig, SetConfigParams, Done, Invite, NodeInfo, NodeStatus, Peer};
use crate::values::{Empty, Page, PageParams};

super::methods! {
    /// This node: what it is, whom it knows, how it is.
    NodeMethods: "node";

    /// What does not change while the node runs.
    "node_info" node_info(Empty) -> NodeInfo, Read;
    /// The node at a glance.
    "node_status" node_status(Empty) -> NodeStatus, Read;
    /// Connected peers.
    "node_peers" node_peers(PageParams) -> Page<Peer>, Read;
    /// What wants attention: the open alerts, the worst first, then those that were cleared lately.
    "node_alerts" node_alerts(PageParams) -> Page<Alert>, Read;
    /// Whom the node reaches, and where it can be reached.
    "node_connectivity" node_connectivity(Empty) -> Connectivity, Read;
    /// What is wrong with the node and its home, and how to mend it.
    "node_doctor" node_doctor(Empty) -> Doctor, Read;
    /// The keys of the configuration, and when a change of each takes effect.
    "node_config" node_config(Empty) -> NodeConfig, Admin;
    /// Sets a key of the configuration, or takes it out of the file; says whether the node must be
    /// started anew for it to count.
    "node_setConfig" node_set_config(SetConfigParams) -> ConfigChanged, Admin;
    /// What lets another node join.
    "node_invite" node_invite(Empty) -> Invite, Admin;
    /// Stops the node cleanly, after it answered.
    "node_shutdown" node_shutdown(Empty) -> Done, Admin;
}
