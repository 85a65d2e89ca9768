//! The load balancer and its tee.
