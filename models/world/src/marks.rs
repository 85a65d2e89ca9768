//! Marks of what surrounds the system under test: clients, operators, and the hostile release. The doc comment of each
//! is its entry in `latent marks`.

latent_ports::marks! {
    /// The hostile release could not remove something.
    ADVERSARY_WIPE_FAILED = "adversary.wipe-failed";
    /// The hostile release destroyed what it may touch.
    ADVERSARY_WIPED = "adversary.wiped";
    /// A client received the answer to an export, or gave up on it.
    CLIENT_EXPORTED = "client.exported";
    /// A client gave up on a request after its last attempt.
    CLIENT_GAVE_UP = "client.gave-up";
    /// An impatient client timed out and sent a request again.
    CLIENT_IMPATIENT_RETRY = "client.impatient-retry";
    /// A client with a backlog put a request back into its queue after a failed attempt.
    CLIENT_REQUEUED = "client.requeued";
    /// A client sent a request again.
    CLIENT_RETRIED = "client.retried";
    /// A recovery after an alarm is complete, and passed its audit.
    OPERATOR_RECOVERED = "operator.recovered";
    /// A recovery did not pass for all days; the rest is tried again.
    OPERATOR_RECOVERY_INCOMPLETE = "operator.recovery-incomplete";
    /// A planned recovery of the scenario is complete.
    OPERATOR_TASK_COMPLETE = "operator.task-complete";
}
