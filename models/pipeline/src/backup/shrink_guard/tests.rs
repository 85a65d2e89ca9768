use super::*;

const PROJECT: u32 = 1;

/// A segment's name has a letter for each key in it.
fn segments(names: &[&str]) -> Vec<CatalogSegment> {
    let segment = |name: &&str| CatalogSegment { hash: (*name).to_owned(), bytes: 1, records: 1 };
    names.iter().map(segment).collect()
}

fn day(number: i32, names: &[&str]) -> CatalogDay {
    CatalogDay { project: PROJECT, day: Day(number), segments: segments(names) }
}

fn found(days: &[CatalogDay]) -> ProductionDays {
    ProductionDays::from([(PROJECT, days.to_vec())])
}

fn catalog(position_ms: i64, days: Vec<CatalogDay>) -> Catalog {
    Catalog { format: 2, position_ms, taken_ms: 0, behind: Vec::new(), days }
}

fn names(days: &[CatalogDay]) -> Vec<Vec<&str>> {
    days.iter().map(|day| day.segments.iter().map(|segment| segment.hash.as_str()).collect()).collect()
}

fn keys(day: &CatalogDay) -> BTreeSet<char> {
    day.segments.iter().flat_map(|segment| segment.hash.chars()).collect()
}

fn compared(baseline: &BackupBaseline, found: &ProductionDays) -> MissingKeys {
    let lacks = |it: &ChangedDay| keys(&it.before).difference(&keys(&it.now)).count() as u64;
    baseline.changed(found).into_iter().map(|it| (it.before.clone(), lacks(&it))).collect()
}

/// Plans a backup that becomes durable.
fn backup(baseline: &mut BackupBaseline, days: &[CatalogDay]) -> BackupPlan {
    let found = found(days);
    let mut plan = baseline.plan(100, &found, &compared(baseline, &found), |_| true);
    *baseline = std::mem::take(&mut plan.baseline);
    plan
}

fn shrank(number: i32, keys: u64) -> Alarm {
    Alarm::ProductionShrank { project: PROJECT, day: Day(number), keys }
}

#[test]
fn a_day_that_grew_or_was_compacted_is_backed_up_as_is() {
    let mut baseline = BackupBaseline::default();
    backup(&mut baseline, &[day(1, &["ab", "c"])]);
    let plan = backup(&mut baseline, &[day(1, &["abcd"])]);
    assert_eq!((names(&plan.days), plan.alarms), (vec![vec!["abcd"]], vec![]));
}

#[test]
fn a_day_that_shrank_or_is_missing_keeps_its_segments_and_raises_one_alarm() {
    let mut baseline = BackupBaseline::default();
    backup(&mut baseline, &[day(1, &["abc"]), day(2, &["xy"])]);
    for round in 0..2 {
        let plan = backup(&mut baseline, &[day(1, &["a"])]);
        assert_eq!(names(&plan.days), [vec!["a", "abc"], vec!["xy"]]);
        assert_eq!(plan.alarms.len(), if round == 0 { 2 } else { 0 });
    }
    let plan = backup(&mut baseline, &[day(1, &["cba"]), day(2, &["yx"])]);
    assert_eq!((names(&plan.days), plan.alarms), (vec![vec!["cba"], vec!["yx"]], vec![]), "recovered");
    assert_eq!(backup(&mut baseline, &[day(1, &["cba"])]).alarms, [shrank(2, 2)], "and lost again");
}

#[test]
fn new_events_do_not_hide_lost_ones() {
    let mut baseline = BackupBaseline::default();
    backup(&mut baseline, &[day(1, &["abc"])]);
    let plan = backup(&mut baseline, &[day(1, &["adefg"])]);
    assert_eq!((names(&plan.days), plan.alarms), (vec![vec!["abc", "adefg"]], vec![shrank(1, 2)]));
    let plan = backup(&mut baseline, &[day(1, &["adefgh"])]);
    assert_eq!(names(&plan.days), [["abc", "adefg", "adefgh"]], "it stays while production lacks it");
}

#[test]
fn a_backup_that_did_not_become_durable_changes_nothing() {
    let mut baseline = BackupBaseline::default();
    backup(&mut baseline, &[day(1, &["ab"])]);
    drop(baseline.plan(200, &found(&[day(1, &["ba"])]), &MissingKeys::new(), |_| true));
    let plan = backup(&mut baseline, &[day(1, &["a"])]);
    assert_eq!(names(&plan.days), [["a", "ab"]], "no data center has a catalog that names the other");
}

#[test]
fn a_restarted_process_keeps_the_contents_of_the_newest_catalog() {
    let mut baseline = BackupBaseline::default();
    baseline.add_catalog(
        catalog(50, vec![day(1, &["a"]), day(2, &["bc"]), day(3, &["c"])]),
        [PROJECT].into_iter(),
    );
    let now = [day(1, &["a", "d"]), day(2, &["b"])];
    let changed: Vec<i32> = baseline.changed(&found(&now)).iter().map(|it| it.before.day.0).collect();
    assert_eq!(changed, [2, 3], "a day that has all its old segments is not compared");
    let plan = backup(&mut baseline, &now);
    assert_eq!(names(&plan.days), [vec!["a", "d"], vec!["b", "bc"], vec!["c"]]);
    assert_eq!(plan.alarms, [shrank(2, 1), shrank(3, 1)]);
}

#[test]
fn a_day_that_cannot_be_compared_is_kept_without_an_alarm() {
    let mut baseline = BackupBaseline::default();
    backup(&mut baseline, &[day(1, &["ab"])]);
    let now = found(&[day(1, &["ba"])]);
    let plan = baseline.plan(100, &now, &MissingKeys::new(), |_| true);
    assert_eq!((names(&plan.days), plan.alarms), (vec![vec!["ab", "ba"]], vec![]));
    let mut baseline = plan.baseline;
    assert_eq!(names(&backup(&mut baseline, &[day(1, &["ba"])]).days), [["ba"]]);
}

#[test]
fn different_backups_of_the_data_centers_all_count() {
    let mut baseline = BackupBaseline::default();
    baseline.add_catalog(catalog(50, vec![day(1, &["a"]), day(2, &["c"])]), [PROJECT].into_iter());
    baseline.add_catalog(catalog(70, vec![day(1, &["abe"]), day(2, &["c"])]), [PROJECT].into_iter());
    assert_eq!(baseline.position_of(PROJECT), 70);
    let plan = backup(&mut baseline, &[day(1, &["ab"]), day(2, &["c"])]);
    assert_eq!(names(&plan.days), [vec!["ab", "abe"], vec!["c"]]);
}

#[test]
fn a_project_missing_from_its_first_backup_is_behind_with_no_guarantee() {
    let mut baseline = BackupBaseline::default();
    baseline.add_projects([2, PROJECT]);
    let plan = baseline.plan(100, &ProductionDays::from([(2, vec![])]), &MissingKeys::new(), |_| true);
    assert_eq!(plan.behind, [LaggingProject { project: PROJECT, position_ms: 0 }]);
    assert_eq!((plan.baseline.position_of(PROJECT), plan.baseline.position_of(2)), (0, 100));
}

#[test]
fn a_project_that_was_not_found_keeps_its_days_and_its_position() {
    let mut baseline = BackupBaseline::default();
    baseline.add_catalog(catalog(50, vec![day(1, &["a"])]), [PROJECT, 2].into_iter());
    let plan = baseline.plan(100, &ProductionDays::from([(2, vec![])]), &MissingKeys::new(), |_| true);
    assert_eq!(plan.behind, [LaggingProject { project: PROJECT, position_ms: 50 }]);
    assert_eq!((names(&plan.days), plan.alarms.len()), (vec![vec!["a"]], 0));
    let mut baseline = plan.baseline;
    let plan = backup(&mut baseline, &[day(1, &["ab"])]);
    assert_eq!((plan.behind, baseline.position_of(PROJECT)), (vec![], 100), "it caught up");
}

#[test]
fn segments_that_no_data_center_has_are_not_guaranteed() {
    let mut baseline = BackupBaseline::default();
    backup(&mut baseline, &[day(1, &["a", "b"])]);
    let plan = baseline.plan(200, &found(&[]), &MissingKeys::new(), |hash| hash == "b");
    assert_eq!(names(&plan.days), [["b"]]);
    let mut plan = baseline.plan(200, &ProductionDays::from([(2, vec![])]), &MissingKeys::new(), |_| true);
    let gone = BTreeSet::from(["a".to_owned()]);
    assert_eq!(plan.drop_segments(&gone, &ProductionDays::new()), [(PROJECT, Day(1))]);
    assert_eq!(names(&plan.days), [["b"]]);
    assert_eq!(plan.behind, [LaggingProject { project: PROJECT, position_ms: 0 }]);
}

#[test]
fn segments_that_wait_for_a_data_center_are_left_out_and_carried_over_later() {
    let mut baseline = BackupBaseline::default();
    backup(&mut baseline, &[day(1, &["abc"]), day(2, &["xy"])]);
    let now = found(&[day(1, &["d"]), day(2, &["xy"])]);
    let mut plan = baseline.plan(200, &now, &MissingKeys::new(), |_| true);
    let waiting = ["abc".to_owned()].into();
    assert_eq!(plan.postpone_segments(&waiting, &now), [PROJECT].into());
    assert_eq!(names(&plan.days), [["d"], ["xy"]]);
    assert!(plan.behind.is_empty(), "production was copied up to the position");
    let later = plan.baseline.plan(300, &now, &MissingKeys::new(), |_| true);
    assert_eq!(names(&later.days)[0], ["abc", "d"]);
    // A project that could not be copied has nothing but these segments.
    let mut plan = baseline.plan(200, &ProductionDays::new(), &MissingKeys::new(), |_| true);
    assert_eq!(plan.postpone_segments(&waiting, &ProductionDays::new()), [PROJECT].into());
    assert_eq!((names(&plan.days), plan.behind[0].position_ms), (vec![vec!["xy"]], 0));
}
