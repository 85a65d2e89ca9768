//! Named protections, to put in place of a scenario's own: what the company had in 2016, what it built afterwards, and
//! steps between.
//!
//! A protection with an audit has an operator, who answers its alarms: the scenario's own, or one with a reaction time of
//! an hour. Without an audit, alarms have no recipient.

use super::{
    AuditSchedule, BackupSchedule, OperatorConfig, Protection, TeeFailurePolicy, TeeProtection, WorldConfig,
};
use latent_engine::{Scenario, Span, Variant};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// A named protection.
struct NamedProtection {
    name: &'static str,
    about: &'static str,
    backup_interval: Duration,
    tee_retention: Option<Duration>,
    has_audit: bool,
    data_centers: u16,
}

const fn of(name: &'static str, about: &'static str) -> NamedProtection {
    NamedProtection {
        name,
        about,
        backup_interval: DAY,
        tee_retention: None,
        has_audit: false,
        data_centers: 2,
    }
}

const fn with_tee(name: &'static str, about: &'static str, days: u32) -> NamedProtection {
    let tee_retention = Some(Duration::from_secs(86_400 * days as u64));
    NamedProtection { tee_retention, has_audit: true, ..of(name, about) }
}

const PROTECTIONS: [NamedProtection; 8] = [
    NamedProtection {
        backup_interval: Duration::from_secs(7 * 86_400),
        data_centers: 1,
        ..of("weekly-backups", "Weekly backups in one data center, as the company had in 2016.")
    },
    of("daily-backups", "Daily backups in two data centers."),
    NamedProtection {
        data_centers: 1,
        ..with_tee(
            "one-data-center",
            "Daily backups in one data center, a tee of seven days and an audit.",
            7,
        )
    },
    with_tee("tee-1d", "Daily backups, a tee of one day and an audit.", 1),
    with_tee("tee-3d", "Daily backups, a tee of three days and an audit.", 3),
    with_tee(
        "tee-7d",
        "Daily backups, a tee of seven days and an audit, as the company built afterwards.",
        7,
    ),
    with_tee("tee-14d", "Daily backups, a tee of fourteen days and an audit.", 14),
    NamedProtection {
        has_audit: false,
        ..with_tee("no-audit", "Daily backups and a tee of seven days, and nothing that compares.", 7)
    },
];

/// Returns the named protections, weakest first.
pub(crate) fn variants() -> Vec<Variant> {
    PROTECTIONS.iter().map(|one| Variant { name: one.name, about: one.about }).collect()
}

/// Gives a scenario this protection. Returns false if none has this name.
pub(crate) fn set(scenario: &mut Scenario<WorldConfig>, name: &str) -> bool {
    let Some(named) = PROTECTIONS.iter().find(|one| one.name == name) else { return false };
    let config = &mut scenario.config;
    let tee_retention = named.tee_retention.unwrap_or_default();
    // Older events than the tee holds are in some backup.
    let retention =
        Span((4 * named.backup_interval).max(14 * DAY).max(tee_retention + named.backup_interval));
    config.protection = Protection {
        tee: named.tee_retention.map(|retention| TeeProtection {
            retention: Span(retention),
            on_failure: TeeFailurePolicy::default(),
        }),
        backup: Some(BackupSchedule {
            interval: Span(named.backup_interval),
            first_after: Span(named.backup_interval.min(DAY)),
            retention,
        }),
        audit: named.has_audit.then_some(AuditSchedule { after_midnight: Span(3 * HOUR) }),
    };
    config.topology.data_centers = named.data_centers;
    match named.has_audit {
        true => drop(config.operator.get_or_insert(OperatorConfig { reaction: Span(HOUR) })),
        false => config.operator = None,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small_scenario::SMALL;
    use crate::{Latent, check};

    #[test]
    fn a_scenario_with_any_named_protection_passes_the_checks_of_a_file() {
        for one in variants() {
            let mut scenario = latent_engine::parse::<Latent>("small.json", SMALL).unwrap();
            assert!(set(&mut scenario, one.name));
            assert!(check::check(&scenario).is_empty(), "{}: {:?}", one.name, check::check(&scenario));
            let protection = &scenario.config.protection;
            assert_eq!(protection.audit.is_some(), scenario.config.operator.is_some(), "{}", one.name);
        }
        let mut scenario = latent_engine::parse::<Latent>("small.json", SMALL).unwrap();
        assert!(!set(&mut scenario, "tee-2d"));
    }
}
