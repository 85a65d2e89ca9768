//! Encoding of a node's boot configuration: JSON, as from a configuration service.
//!
//! A node receives bytes, so that the caller and the node may be built from different versions of this crate.

use crate::config::{BootConfig, Cluster};
use crate::release::Release;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Error for bytes that are not a boot configuration.
#[derive(Debug, thiserror::Error)]
#[error("boot configuration: {0}; it was written by another version of latent-pipeline")]
pub struct BootConfigError(#[from] serde_json::Error);

#[derive(Serialize)]
struct Encoded<'a> {
    cluster: &'a Cluster,
    release: &'a Release,
}

#[derive(Deserialize)]
struct Decoded {
    cluster: Cluster,
    release: Release,
}

impl BootConfig {
    /// Encodes the configuration for [`crate::boot`].
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let encoded = Encoded { cluster: &self.cluster, release: &self.release };
        serde_json::to_vec(&encoded).expect("maps with numbers and strings as keys are JSON").into()
    }
}

/// Decodes a configuration from [`BootConfig::encode`].
pub(crate) fn decode(config: &[u8]) -> Result<BootConfig, BootConfigError> {
    let Decoded { cluster, release } = serde_json::from_slice(config)?;
    Ok(BootConfig { cluster: Arc::new(cluster), release: Arc::new(release) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        AuditConfig, BackupConfig, CompactionConfig, Project, ReplicationConfig, TeeStoreConfig,
    };
    use crate::release::Bug;
    use crate::zone::ZoneHistory;
    use latent_ports::{NodeId, UnixMs};
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    #[test]
    fn a_configuration_round_trips_with_all_of_its_parts() {
        let zones = ZoneHistory::constant("UTC").unwrap().then(UnixMs(86_400_000), "Asia/Kathmandu").unwrap();
        let project = Project { id: 7, token: "token".into(), secret: "secret".into(), zones };
        let (retention, min_retention) = (Duration::from_millis(1_500), Duration::from_secs(7 * 86_400));
        let cluster = Cluster {
            projects: BTreeMap::from([(7, project)]),
            by_token: BTreeMap::from([("token".into(), 7)]),
            disks: vec![NodeId(1), NodeId(2)],
            ingest: vec![NodeId(3)],
            workers: vec![NodeId(4)],
            edges: vec![],
            replication: ReplicationConfig::default(),
            compaction: CompactionConfig::default(),
            backup: Some(BackupConfig {
                interval: Duration::from_secs(86_400),
                first_after: Duration::ZERO,
                retention,
                min_retention,
                data_centers: vec![NodeId(5)],
            }),
            tee: Some(TeeStoreConfig { store: NodeId(6), retention, min_retention }),
            audit: Some(AuditConfig {
                after_midnight: Duration::from_secs(3_600),
                operator: NodeId(8),
                node: Some(NodeId(9)),
            }),
            scrub_after_midnight: Duration::from_secs(6 * 3_600),
        };
        let release = Release { name: "canary".into(), bugs: BTreeSet::from([Bug::RecompactionOverwrites]) };
        let boot = BootConfig { cluster: Arc::new(cluster), release: Arc::new(release) };
        assert_eq!(decode(&boot.encode()).unwrap(), boot);
        let cluster = Cluster { audit: None, backup: None, tee: None, ..(*boot.cluster).clone() };
        let bare = BootConfig { cluster: Arc::new(cluster), ..boot };
        assert_eq!(decode(&bare.encode()).unwrap(), bare);
    }

    #[test]
    fn other_bytes_are_rejected_with_a_hint() {
        for bytes in [b"".as_slice(), b"{}", b"[1, 2]"] {
            let error = decode(bytes).unwrap_err().to_string();
            assert!(error.ends_with("it was written by another version of latent-pipeline"), "{error}");
        }
    }
}
