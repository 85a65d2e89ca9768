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
