//! Errors of invalid scenarios. Each test shows one complete error.

use super::{Scenario, parse};
use crate::test_system::{Config, TestSystem};
use latent_sim::Trigger;
use latent_verdict::Outcome;

const GOOD: &str = r#"{
  "name": "late-data",
  "about": "Late events meet a second compaction.",
  "start": "2016-02-21T00:00:00Z",
  "run_for": "5d",
  "expect": "recovered",
  "disks": 8, "copies": 4,
  "tenants": [
    { "name": "north", "zone": "Europe/Oslo" },
    { "name": "west", "zone": "America/Los_Angeles" }
  ],
  "faults": [
    { "trigger": { "at": "2016-02-22T17:21:00-08:00" }, "action": { "pause": { "node": "a", "for_ms": 10 } } }
  ],
  "required_marks": ["toy.delivered"]
}
"#;

fn good() -> Scenario<Config> {
    parse::<TestSystem>("good.json", GOOD).unwrap()
}

/// The error for the valid scenario with one piece of its text changed.
fn with(from: &str, to: &str) -> String {
    assert_eq!(GOOD.matches(from).count(), 1, "{from} stands once in the good scenario");
    parse::<TestSystem>("late.json", &GOOD.replace(from, to)).unwrap_err().to_string()
}

#[test]
fn a_valid_scenario_is_parsed_completely() {
    let scenario = good();
    assert_eq!((scenario.name.as_str(), scenario.expect), ("late-data", Outcome::Recovered.into()));
    assert_eq!(scenario.end().to_string(), "2016-02-26T00:00:00Z");
    assert_eq!(scenario.config.tenants[1].zone, "America/Los_Angeles");
    assert_eq!(scenario.faults[0].trigger, Trigger::AtMs(1_456_190_460_000));
}

#[test]
fn omitted_fields_have_defaults() {
    let text = r#"{"name":"x","start":"2016-02-21T00:00:00Z","run_for":"1h","disks":1,"copies":1}"#;
    let scenario = parse::<TestSystem>("x.json", text).unwrap();
    assert_eq!(scenario.expect, Outcome::Clean.into());
    assert!(scenario.faults.is_empty() && scenario.required_marks.is_empty() && scenario.about.is_empty());
}

#[test]
fn a_misspelt_field() {
    insta::assert_snapshot!(with("\"copies\"", "\"copeis\""), @r#"
    late.json:7:15: unknown field `copeis` in the scenario
        7 |   "disks": 8, "copeis": 4,
          |               ^^^^^^^^
      did you mean `copies`? known here: about, expect, faults, name, required_marks, run_for, seed, start, copies, disks, tenants
    "#);
}

#[test]
fn a_misspelt_field_inside() {
    insta::assert_snapshot!(with("\"north\", \"zone\"", "\"north\", \"zoen\""), @r#"
    late.json:9:24: unknown field `zoen` in /tenants/0
        9 |     { "name": "north", "zoen": "Europe/Oslo" },
          |                        ^^^^^^
      did you mean `zone`? known here: name, zone
    "#);
}

#[test]
fn a_misspelt_fault() {
    let message = with("\"pause\"", "\"puase\"");
    // The list of all faults grows with the simulator.
    insta::assert_snapshot!(message.split(", pause").next().unwrap(), @r#"
    late.json:13:69: unknown choice `puase` in /faults/0/action
       13 | T17:21:00-08:00" }, "action": { "puase": { "node": "a", "for_ms": 10 } } }
          |                                 ^^^^^^^
      did you mean `pause`? known here: kill
    "#);
}

#[test]
fn an_impossible_date() {
    insta::assert_snapshot!(with("2016-02-21T00:00:00Z", "2016-02-30T00:00:00Z"), @r#"
    late.json:4:12: invalid date and time '2016-02-30T00:00:00Z': parameter 'day' for `2016-02` is invalid, must be in range `1..=29`
        4 |   "start": "2016-02-30T00:00:00Z",
          |            ^^^^^^^^^^^^^^^^^^^^^^
      write it like 2016-02-22T17:21:00-08:00 or 2016-02-23T01:21:00Z
    "#);
}

#[test]
fn an_impossible_date_in_a_fault() {
    insta::assert_snapshot!(with("2016-02-22T17:21:00-08:00", "2015-02-29T17:21:00-08:00"), @r#"
    late.json:13:26: invalid date and time '2015-02-29T17:21:00-08:00': parameter 'day' for `2015-02` is invalid, must be in range `1..=28`
       13 |     { "trigger": { "at": "2015-02-29T17:21:00-08:00" }, "action": { "pause": { "node": "a", "for
          |                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^
      write it like 2016-02-22T17:21:00-08:00 or 2016-02-23T01:21:00Z
    "#);
}

#[test]
fn a_fault_outside_the_run() {
    insta::assert_snapshot!(with("2016-02-22T17:21:00-08:00", "2016-03-22T17:21:00-08:00"), @r#"
    late.json:13:26: a fault at 2016-03-23T01:21:00Z, which is outside the run
       13 |     { "trigger": { "at": "2016-03-22T17:21:00-08:00" }, "action": { "pause": { "node": "a", "for
          |                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^
      the run lasts from 2016-02-21T00:00:00Z to 2016-02-26T00:00:00Z
    "#);
}

#[test]
fn a_length_without_a_unit() {
    insta::assert_snapshot!(with("\"5d\"", "\"5\""), @r#"
    late.json:5:14: invalid duration '5'
        5 |   "run_for": "5",
          |              ^^^
      write it like 5d, 12h, 1d12h, 90s or 250ms (d, h, m, s, ms)
    "#);
    insta::assert_snapshot!(with("\"5d\"", "5"), @r#"
    late.json:5:14: /run_for cannot be 5
        5 |   "run_for": 5,
          |              ^
      write a duration such as "5d" or "12h"
    "#);
    insta::assert_snapshot!(with("\"5d\"", "\"5000d\""), @r#"
    late.json:5:14: 5000d is longer than a run may last
        5 |   "run_for": "5000d",
          |              ^^^^^^^
      at most 366d
    "#);
}

#[test]
fn an_unknown_expectation() {
    insta::assert_snapshot!(with("\"recovered\"", "\"recoverd\""), @r#"
    late.json:6:13: unknown choice `recoverd` in /expect
        6 |   "expect": "recoverd",
          |             ^^^^^^^^^^
      did you mean `recovered`? known here: clean, recovered, recoverable-but-missing, unrecoverable-by-design, unrecoverable-loss, violated, hung, nondeterministic, recovered-or-better, recoverable-but-missing-or-better, unrecoverable-by-design-or-better, unrecoverable-loss-or-better
    "#);
}

#[test]
fn an_unknown_mark() {
    insta::assert_snapshot!(with("[\"toy.delivered\"]", "[\"toy.delivered\", \"toy.delivred\"]"), @r#"
    late.json:15:39: unknown mark 'toy.delivred'
       15 |   "required_marks": ["toy.delivered", "toy.delivred"]
          |                                       ^^^^^^^^^^^^^^
      did you mean toy.delivered? `toy marks` lists all 3
    "#);
    insta::assert_snapshot!(with("[\"toy.delivered\"]", "[\"frok:toy.delivered\"]"), @r#"
    late.json:15:22: unknown mark 'frok:toy.delivered'
       15 |   "required_marks": ["frok:toy.delivered"]
          |                      ^^^^^^^^^^^^^^^^^^^^
      did you mean fork:toy.delivered? `toy marks` lists all 3
    "#);
}

#[test]
fn a_fault_that_waits_for_an_unknown_mark() {
    let at = "\"at\": \"2016-02-22T17:21:00-08:00\"";
    let mark = |name: &str| with(at, &format!("\"mark\": {{ \"name\": \"{name}\", \"n\": 1 }}"));
    insta::assert_snapshot!(mark("toy.delivred"), @r#"
    late.json:13:38: unknown mark 'toy.delivred'
       13 |  "trigger": { "mark": { "name": "toy.delivred", "n": 1 } }, "action": { "pause": { "node": "a", 
          |                                 ^^^^^^^^^^^^^^
      did you mean toy.delivered? `toy marks` lists all 3
    "#);
    insta::assert_snapshot!(mark("fork:toy.rehearsed"), @r#"
    late.json:13:38: a fault cannot wait for 'fork:toy.rehearsed', a mark of a fork
       13 |  "trigger": { "mark": { "name": "fork:toy.rehearsed", "n": 1 } }, "action": { "pause": { "node":
          |                                 ^^^^^^^^^^^^^^^^^^^^
      faults are injected in the main world: wait for toy.rehearsed
    "#);
    insta::assert_snapshot!(mark(""), @r#"
    late.json:13:38: unknown mark ''
       13 |  "trigger": { "mark": { "name": "", "n": 1 } }, "action": { "pause": { "node": "a", "for_ms": 10
          |                                 ^^
      `toy marks` lists all 3
    "#);
}

#[test]
fn a_wrong_type() {
    insta::assert_snapshot!(with("\"disks\": 8", "\"disks\": \"8\""), @r#"
    late.json:7:12: /disks cannot be the text "8"
        7 |   "disks": "8", "copies": 4,
          |            ^^^
      write a whole number from 0 to 255
    "#);
    insta::assert_snapshot!(with("\"disks\": 8", "\"disks\": 800"), @r#"
    late.json:7:12: /disks cannot be 800
        7 |   "disks": 800, "copies": 4,
          |            ^^^
      write a whole number from 0 to 255
    "#);
}

#[test]
fn a_field_that_is_missing() {
    insta::assert_snapshot!(with("\"run_for\": \"5d\",", ""), @r#"
    late.json:1:1: the scenario has no field `run_for`
        1 | {
          | ^
      add "run_for": …
    "#);
    insta::assert_snapshot!(with("{ \"name\": \"west\", ", "{ "), @r#"
    late.json:10:5: /tenants/1 has no field `name`
       10 |     { "zone": "America/Los_Angeles" }
          |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      add "name": …
    "#);
}

#[test]
fn a_duplicate_field() {
    insta::assert_snapshot!(with("\"copies\": 4", "\"copies\": 4, \"copies\": 5"), @r#"
    late.json:7:28: field `copies` appears twice in the scenario
        7 |   "disks": 8, "copies": 4, "copies": 5,
          |                            ^^^^^^^^
      remove one of them
    "#);
}

#[test]
fn a_zone_that_does_not_exist_and_more() {
    let text = GOOD.replace("\"copies\": 4", "\"copies\": 9").replace("America/Los_Angeles", "Angeles");
    insta::assert_snapshot!(parse::<TestSystem>("late.json", &text).unwrap_err(), @r#"
    late.json:7:25: 9 copies do not fit on 8 disks
        7 |   "disks": 8, "copies": 9,
          |                         ^
      at most 8
      1 more problem in this file
    "#);
}

#[test]
fn no_name() {
    insta::assert_snapshot!(with("\"late-data\"", "\"Late data\""), @r#"
    late.json:2:11: 'Late data' cannot name a scenario
        2 |   "name": "Late data",
          |           ^^^^^^^^^^^
      use lower-case letters, digits and hyphens: late-data
    "#);
}

#[test]
fn invalid_json() {
    let message = |text: &str| parse::<TestSystem>("x.json", text).unwrap_err().to_string();
    let all = [
        message(""),
        message("name: late-data\n"),
        message("[1, 2]"),
        message(&GOOD.replace("\"toy.delivered\"]", "\"toy.delivered\",]")),
        message(&GOOD.replace("\"disks\"", "// eight\n  \"disks\"")),
        message(&GOOD.replace("\"5d\",\n", "\"5d\"\n")),
        message(&GOOD[..GOOD.len() - 4]),
        message(&GOOD.replace("\"5d\"", "'5d'")),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    x.json:1:1: the file is empty
        1 | 
          | ^
      a scenario is one JSON object: { "name": …, "start": …, "run_for": … }

    x.json:1:2: not JSON: expected value
        1 | name: late-data
          |  ^
      a scenario is one JSON object: { "name": …, "start": …, "run_for": … }

    x.json:1:1: this is JSON, but not an object
        1 | [1, 2]
          | ^^^^^^
      a scenario is one JSON object: { "name": …, "start": …, "run_for": … }

    x.json:15:38: not JSON: trailing comma
       15 |   "required_marks": ["toy.delivered",]
          |                                      ^
      remove the comma before it

    x.json:7:3: not JSON: key must be a string
        7 |   // eight
          |   ^
      JSON has no comments; use "about"

    x.json:6:3: not JSON: expected `,` or `}`
        6 |   "expect": "recovered",
          |   ^
      a comma or a colon may be missing before it

    x.json:15:36: not JSON: EOF while parsing a list
       15 |   "required_marks": ["toy.delivered"
          |                                    ^
      a bracket, a brace or a quote was never closed

    x.json:5:14: not JSON: expected value
        5 |   "run_for": '5d',
          |              ^
      put names and texts in double quotes
    "#);
}

#[test]
fn the_schema_names_every_field_of_both_parts() {
    let schema = super::merged_schema::<TestSystem>();
    let properties: Vec<&str> =
        schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    insta::assert_snapshot!(properties.join(" "), @"about copies disks expect faults name required_marks run_for seed start tenants");
    insta::assert_snapshot!(schema["required"], @r#"["copies","disks","name","run_for","start"]"#);
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema["$defs"]["Tenant"].is_object());
}
