//! Marks of what surrounds the system under test: clients, operators, and the hostile release. The doc comment of each is its entry in `latent marks`.

latent_ports::marks! {
    /// A client received the answer to an export, or gave up on it.
    CLIENT_EXPORTED = "client.exported";
    /// A client gave up on a request after its last attempt.
    CLIENT_GAVE_UP = "client.gave-up";
    /// An impatient client timed out and sent a request again.
    CLIENT_HURRIED = "client.hurried";
    /// A client with a backlog kept a request for later after a failed attempt.
    CLIENT_KEPT = "client.kept";
    /// A client sent a request again.
    CLIENT_RETRIED = "client.retried";
    /// The hostile release destroyed what it may touch.
    HOSTILE_STRUCK = "hostile.struck";
    /// The hostile release could not remove something.
    HOSTILE_WIPE_FAILED = "hostile.wipe-failed";
    /// A planned recovery of the scenario is complete.
    OPERATOR_ORDER_DONE = "operator.order-done";
    /// A recovery after an alarm is complete, and passed its audit.
    OPERATOR_RECOVERED = "operator.recovered";
    /// A recovery did not pass for all days; the rest is tried again.
    OPERATOR_RECOVERY_INCOMPLETE = "operator.recovery-incomplete";
}
