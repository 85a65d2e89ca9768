//! Links of a world, as the code that drives a run sets them.

use super::World;
use crate::net::LinkSpec;
use latent_ports::NodeId;

impl World {
    /// Sets the properties of every direction that has none of its own.
    pub fn set_default_link(&self, spec: LinkSpec) {
        self.assert_not_observing("change links");
        self.network().set_default_link(spec);
    }

    /// Sets the properties of one direction.
    pub fn set_link(&self, from: NodeId, to: NodeId, spec: LinkSpec) {
        self.assert_not_observing("change links");
        self.network().set_link(from, to, spec);
    }

    /// Cuts one direction: messages on it are lost, including those in flight.
    pub fn cut_link(&self, from: NodeId, to: NodeId) {
        self.assert_not_observing("cut a link");
        self.network().cut_link(from, to);
    }

    /// Undoes [`World::cut_link`]. Faults that cut the same direction remain.
    pub fn restore_link(&self, from: NodeId, to: NodeId) {
        self.assert_not_observing("join a link");
        self.network().restore_link(from, to);
    }
}
