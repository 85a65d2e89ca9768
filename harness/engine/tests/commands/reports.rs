//! Output of a sweep for other programs: JUnit XML, and GitHub Actions.

use crate::common::{Test, tests};
use crate::scratch::{ProgramOutput, Scratch};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::collections::BTreeMap;

pub const TESTS: &[Test] = tests![
    junit_has_a_suite_for_each_scenario_and_its_counts_add_up,
    junit_is_valid_xml_for_any_detail,
    a_file_that_cannot_be_written_is_found_before_the_work,
    junit_of_merged_slices_has_the_cases_of_one_process,
    annotations_are_commands_of_github_actions_and_the_summary_its_file,
    an_annotation_is_one_line_for_any_detail,
];

/// An XML element: its name, attributes, text, and the index of its parent.
#[derive(Debug)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    text: String,
    parent: Option<usize>,
}

impl Element {
    fn number(&self, name: &str) -> usize {
        self.attributes[name].parse().unwrap_or_else(|error| panic!("{name} of {self:?}: {error}"))
    }
}

/// Every element of a file, in order, parsed independently.
fn elements(xml: &str) -> Vec<Element> {
    let (mut reader, mut all, mut open) = (Reader::from_str(xml), Vec::<Element>::new(), Vec::new());
    let element = |start: &BytesStart<'_>, parent: Option<usize>| Element {
        name: start.name().as_ref().to_owned(),
        attributes: start
            .attributes()
            .map(|attribute| attribute.expect("attributes are well-formed, each once"))
            .map(|attribute| {
                let value =
                    quick_xml::escape::unescape(&attribute.value).expect("it is escaped").into_owned();
                (attribute.key.as_ref().to_owned(), value)
            })
            .collect(),
        text: String::new(),
        parent,
    };
    loop {
        match reader.read_event().unwrap_or_else(|error| panic!("{error}: {xml}")) {
            Event::Start(start) => {
                all.push(element(&start, open.last().copied()));
                open.push(all.len() - 1);
            }
            Event::Empty(start) => all.push(element(&start, open.last().copied())),
            Event::End(_) => drop(open.pop()),
            Event::Text(text) => {
                if let Some(place) = open.last() {
                    all[*place].text.push_str(&text);
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(open.is_empty(), "every element is closed");
    all
}

fn of<'a>(all: &'a [Element], name: &'a str) -> impl Iterator<Item = (usize, &'a Element)> {
    all.iter().enumerate().filter(move |(_, element)| element.name == name)
}

fn junit_has_a_suite_for_each_scenario_and_its_counts_add_up() {
    let scratch = Scratch::new("junit");
    scratch.misbehaving_scenario("plain", "");
    scratch.misbehaving_scenario("slow", r#", "misbehaviour": { "waits-for": "never" }, "only_with": 2"#);
    scratch.misbehaving_scenario("untidy", r#", "misbehaviour": { "violates": "3 < 4 & \"so\" on" }"#);
    let sweep = ["sweep", "plain.json", "slow.json", "untidy.json", "--seeds", "1..4", "--case-time", "1s"];
    scratch.odd(&[&sweep[..], &["--junit", "junit.xml"]].concat()).ends(102);
    let all = elements(&scratch.read("junit.xml"));
    assert_eq!((all[0].name.as_str(), all[0].parent), ("testsuites", None));
    let suites: Vec<(usize, &Element)> = of(&all, "testsuite").collect();
    let names: Vec<&str> = suites.iter().map(|(_, suite)| suite.attributes["name"].as_str()).collect();
    assert_eq!(names, ["plain.json", "slow.json", "untidy.json"]);
    let mut counted = Vec::new();
    for (place, suite) in suites {
        let cases: Vec<(usize, &Element)> =
            of(&all, "testcase").filter(|(_, case)| case.parent == Some(place)).collect();
        let inside = |name: &str| {
            of(&all, name).filter(|(_, one)| cases.iter().any(|(case, _)| one.parent == Some(*case))).count()
        };
        let there = [cases.len(), inside("failure"), inside("error")];
        assert_eq!(["tests", "failures", "errors"].map(|name| suite.number(name)), there);
        let seconds =
            |element: &Element| element.attributes["time"].parse::<f64>().expect("a number of seconds");
        let sum: f64 = cases.iter().map(|(_, case)| seconds(case)).sum();
        assert!((seconds(suite) - sum).abs() < 0.001, "the cases' times add up to the suite's");
        counted.push(there);
    }
    assert_eq!(counted, [[3, 0, 0], [3, 0, 1], [3, 3, 0]]);
    let property =
        |element: &Element| element.attributes["name"].clone() + ": " + &element.attributes["value"];
    let properties: Vec<String> = of(&all, "property").map(|(_, element)| property(element)).collect();
    assert_eq!(properties[..2], ["build: odd 1", "seeds: seeds 1..4"]);
    let cases: Vec<&str> = of(&all, "testcase").map(|(_, case)| case.attributes["name"].as_str()).collect();
    assert_eq!(cases[..4], ["plain.json@1", "plain.json@2", "plain.json@3", "slow.json@1"]);
    let (_, error) = of(&all, "error").next().expect("one case hangs");
    assert_eq!(
        (error.attributes["type"].as_str(), error.attributes["message"].as_str()),
        ("hung", "hung hung:real-time")
    );
    let (_, failure) = of(&all, "failure").next().expect("three cases fail");
    assert_eq!(failure.attributes["type"], "violated");
    assert_eq!(failure.attributes["message"], "violated O1:untidy:at-once:breach");
    assert!(scratch.read("junit.xml").contains("3 &lt; 4 &amp; "), "the detail is escaped");
}

/// XML does not allow most control characters, escaped or not: a reader would refuse the whole file.
fn junit_is_valid_xml_for_any_detail() {
    let scratch = Scratch::new("junit-odd");
    scratch.misbehaving_scenario(
        "colourful",
        r#", "misbehaviour": { "violates": "a \u001b[31mred\u0000 ]]> \ufffe end" }"#,
    );
    scratch.odd(&["sweep", "colourful.json", "--seeds", "1..2", "--junit", "junit.xml"]).ends(100);
    let xml = scratch.read("junit.xml");
    let is_allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    assert!(xml.chars().all(is_allowed), "{xml:?}");
    let all = elements(&xml);
    let (_, failure) = of(&all, "failure").next().expect("one case fails");
    assert!(failure.text.contains("red") && failure.text.ends_with("end"), "{failure:?}");
}

fn a_file_that_cannot_be_written_is_found_before_the_work() {
    let scratch = Scratch::new("junit-nowhere");
    let sweep = ["sweep", "correct", "--seeds", "1..3", "--junit"];
    scratch.wal(&[&sweep[..], &[".latent/deep/junit.xml"]].concat()).ends(0);
    assert_eq!(elements(&scratch.read(".latent/deep/junit.xml"))[0].name, "testsuites");
    let ran = scratch.wal(&[&sweep[..], &[".latent/deep"]].concat()).ends(2);
    assert_eq!(ran.out, "", "it is found before any case runs");
    assert_eq!(ran.err, "error: .latent/deep: cannot be written: is a directory\n");
}

fn junit_of_merged_slices_has_the_cases_of_one_process() {
    let scratch = Scratch::new("junit-merged");
    let sweep = ["sweep", "missing-sync", "--seeds", "9..15", "--json"];
    scratch.wal(&[&sweep[..], &["whole.jsonl", "--junit", "whole.xml"]].concat()).ends(100);
    for slice in ["slice:1/2", "slice:2/2"] {
        scratch.wal(&[&sweep[..], &[&slice[6..7], "--partition", slice]].concat());
    }
    scratch.wal(&["merge", "1", "2", "--junit", "merged.xml"]).ends(100);
    let timeless = |file: &str| {
        let mut all = elements(&scratch.read(file));
        for element in &mut all {
            element.attributes.remove("time");
            element.attributes.remove("timestamp");
        }
        format!("{all:#?}")
    };
    assert_eq!(timeless("merged.xml"), timeless("whole.xml"));
}

/// A sweep in GitHub Actions.
fn on_actions(scratch: &Scratch, system: &str, arguments: &[&str]) -> ProgramOutput {
    let mut command = scratch.command(system, arguments);
    ProgramOutput::of(
        command.env("GITHUB_STEP_SUMMARY", "summary.md").output().expect("this program can be started"),
    )
}

fn annotations_are_commands_of_github_actions_and_the_summary_its_file() {
    let scratch = Scratch::new("annotate");
    scratch.write("summary.md", "what another step wrote\n");
    let ran =
        on_actions(&scratch, "wal", &["sweep", "missing-sync", "--seeds", "9..15", "--annotate"]).ends(100);
    let commands = |ran: &ProgramOutput| -> String {
        ran.screen().lines().filter(|line| line.starts_with("::")).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(commands(&ran), @"::error title=unrecoverable-loss W1%3Amissing%3Aafter-crash%3Aloss::4 cases, the fastest is missing-sync@12");
    let summary = scratch.read("summary.md");
    let screen = ran.out.split("::").next().expect("the screen comes first");
    assert_eq!(
        summary,
        format!("what another step wrote\n### Sweep\n\n`````text\n{}\n`````\n", screen.trim_end())
    );

    let ran = on_actions(&scratch, "wal", &["sweep", "correct", "--seeds", "1..9", "--annotate"]).ends(0);
    insta::assert_snapshot!(commands(&ran), @"::notice title=sweep::correct: 8 cases as expected");
    let ran = on_actions(
        &scratch,
        "wal",
        &["sweep", "correct", "--seeds", "1..9", "--annotate", "--require", "wal.complete"],
    )
    .ends(103);
    insta::assert_snapshot!(commands(&ran), @"::error title=required mark::required mark wal.complete was not reached");
    let ran = on_actions(&scratch, "wal", &["sweep", "correct", "--for", "0s", "--annotate"]).ends(4);
    insta::assert_snapshot!(commands(&ran), @"::error title=sweep::correct: 0 cases ran");
}

fn an_annotation_is_one_line_for_any_detail() {
    let scratch = Scratch::new("annotate-odd");
    scratch.misbehaving_scenario(
        "sly",
        r#", "misbehaviour": { "violates": "100% of it:\r::notice::all is well" }"#,
    );
    let ran = on_actions(&scratch, "odd", &["sweep", "sly.json", "--seeds", "1..2", "--annotate"]).ends(100);
    let commands: Vec<&str> = ran.out.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(
        commands,
        [
            "::error title=violated O1%3Auntidy%3Aat-once%3Abreach::1 case, the fastest is sly.json@1: 100%25 of it:%0D::notice::all is well"
        ]
    );
}
