//! Marks of load balancers and of the tee. The doc comment of each is its entry in `latent marks`.

latent_ports::marks! {
    /// An edge could not start and tries again.
    EDGE_BOOT_FAILED = "edge.boot-failed";
    /// An edge's boot number could not be read; it takes one from the clock.
    EDGE_BOOT_NUMBER_DAMAGED = "edge.boot-number-damaged";
    /// An edge started.
    EDGE_BOOTED = "edge.booted";
    /// An edge sent a request to another ingest node after the first failed.
    EDGE_FORWARD_RETRY = "edge.forward-retry";
    /// An edge found no ingest node for a request and asked the client to retry.
    EDGE_NOT_FORWARDED = "edge.not-forwarded";
    /// An edge chose another edge for its copies.
    EDGE_PEER_CHANGED = "edge.peer-changed";
    /// A request is durable in the tee, on two edges.
    EDGE_TEE_DURABLE = "edge.tee-durable";
    /// A request was let through without a tee record (accept-and-record-gap).
    EDGE_TEE_GAP = "edge.tee-gap";
    /// A recorded gap of the tee was closed.
    EDGE_TEE_GAP_CLOSED = "edge.tee-gap-closed";
    /// A recorded gap was dropped after its time.
    EDGE_TEE_GAP_DROPPED = "edge.tee-gap-dropped";
    /// A gap could not be written down and is in memory alone.
    EDGE_TEE_GAP_IN_MEMORY = "edge.tee-gap-in-memory";
    /// A gap of the tee was recorded and is open.
    EDGE_TEE_GAP_OPEN = "edge.tee-gap-open";
    /// A gap could not be recorded: the request is refused.
    EDGE_TEE_GAP_UNRECORDED = "edge.tee-gap-unrecorded";
    /// A request was refused because it could not be written to the tee.
    EDGE_TEE_REFUSED = "edge.tee-refused";
    /// A tee record got a new number because its file could not be continued.
    EDGE_TEE_RENUMBERED = "edge.tee-renumbered";
    /// An edge refused a message of a node that may not send it.
    EDGE_UNAUTHORIZED_CALL = "edge.unauthorized-call";
    /// The other edge's copy lacks earlier bytes, which are sent first.
    TEE_COPY_BEHIND = "tee.copy-behind";
    /// The other edge's copy has other bytes at the same place.
    TEE_COPY_DIFFERS = "tee.copy-differs";
    /// An edge could not write its copy of another edge's file.
    TEE_COPY_FAILED = "tee.copy-failed";
    /// A copy that was in doubt was written again from its valid part.
    TEE_COPY_REWRITTEN = "tee.copy-rewritten";
    /// An edge uploaded its copy of another edge's file too.
    TEE_COPY_UPLOADED = "tee.copy-uploaded";
    /// An edge's own tee file is damaged; it is completed from copies.
    TEE_DAMAGED = "tee.damaged";
    /// A tee file could not be uploaded within its time and was dropped.
    TEE_DROPPED = "tee.dropped";
    /// An edge uploaded what it holds, as asked.
    TEE_FLUSHED = "tee.flushed";
    /// A recorded gap was uploaded.
    TEE_GAP_UPLOADED = "tee.gap-uploaded";
    /// An upload completed an object that lacked records.
    TEE_OBJECT_COMPLETED = "tee.object-completed";
    /// The report of an upload did not reach the other edge; it uploads its copy too.
    TEE_PEER_NOTIFY_FAILED = "tee.peer-notify-failed";
    /// A damaged tee file was completed from other copies.
    TEE_REPAIRED = "tee.repaired";
    /// An edge uploaded the file of another edge that did not.
    TEE_TAKEN_OVER = "tee.taken-over";
    /// An upload failed and is tried again.
    TEE_UPLOAD_FAILED = "tee.upload-failed";
    /// An edge uploaded a tee file.
    TEE_UPLOADED = "tee.uploaded";
}
