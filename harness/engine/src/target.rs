//! What a command is to work on: a scenario by name or file, one drawn whole (`generated@7`), or a stored case.

use crate::case::wire::Work;
use crate::case_file::{self, CaseFile, Recorded};
use crate::report::OnRelease;
use crate::scenario::{self, BadScenario, NamedScenario, Scenario};
use crate::{Case, Plan, System, plan};
use latent_sim::keyed_draw;
use serde_json::Value;

/// The name of scenarios that a seed draws whole.
pub(crate) const GENERATED: &str = "generated";
/// A scenario that asks for more items is refused, unless an option allows it: some 3 GB of memory and a minute.
pub(crate) const MOST_ITEMS: u64 = 1_000_000;
/// A generated scenario is made from so many bytes.
const GENERATOR_BYTES: u64 = 8 << 10;

/// A case before it runs.
pub(crate) struct Target<S: System> {
    /// The name or path as it was given: what repeats the run.
    pub given: String,
    /// The file to name in errors.
    pub file: String,
    /// The scenario's text, as a worker gets it.
    pub text: String,
    pub scenario: Scenario<S::Topic>,
    pub seed: u64,
    /// The release that all of the system is on, if one was asked for.
    release: Option<OnRelease>,
    /// A stored case's plan.
    plan: Option<Value>,
    /// What a stored case says of its run.
    pub recorded: Option<Recorded>,
    /// Whether a stored case was changed since it was recorded: its run is another one.
    pub is_edited: bool,
}

impl<S: System> Target<S> {
    /// Finds what `target` names: `NAME[@SEED]`, a scenario's file, or a case's file.
    ///
    /// # Errors
    /// No such thing, or one that cannot run, or that asks for more than `most_items`; with its place in the file.
    pub fn find(
        target: &str,
        named: &[NamedScenario],
        release: Option<&str>,
        most_items: u64,
    ) -> Result<Target<S>, BadScenario> {
        let (given, seed) = scenario::parse_target(target)?;
        let mut found = Self::of(&given, seed, named)?;
        scenario::check_cost::<S>(&found.file, &found.text, &found.scenario, most_items)?;
        if let Some(name) = release {
            found.put_on(name)?;
        }
        Ok(found)
    }

    fn of(given: &str, seed: Option<u64>, named: &[NamedScenario]) -> Result<Target<S>, BadScenario> {
        let (given, release) = (given.to_owned(), None);
        if given == GENERATED
            && let Some(scenario) = generated::<S>(seed.unwrap_or(1))
        {
            let (seed, text) = (scenario.seed, scenario.to_text());
            let file = format!("{GENERATED}@{seed}");
            return Ok(Target {
                given,
                file,
                text,
                scenario,
                seed,
                release,
                plan: None,
                recorded: None,
                is_edited: false,
            });
        }
        let drawn = has_generator::<S>().then_some(GENERATED);
        let source = scenario::find(&given, named, drawn)
            .map_err(|bad| if given == GENERATED { has_no_generator::<S>(named) } else { bad })?;
        if let Some(case) = CaseFile::read(&source.file, &source.text)? {
            if seed.is_some() {
                let message = "a case has a seed of its own".to_owned();
                return Err(scenario::unplaced(&source.file, message, format!("leave it out: {given}")));
            }
            let scenario = scenario::parse::<S>(&source.file, &case.scenario)?;
            let (file, text, seed) = (source.file, case.scenario, scenario.seed);
            let (plan, recorded, is_edited) = (Some(case.plan), Some(case.recorded), case.is_edited);
            let target = Target { given, file, text, scenario, seed, release, plan, recorded, is_edited };
            target.expand()?;
            return Ok(target);
        }
        let scenario = scenario::parse::<S>(&source.file, &source.text)?;
        let (file, text, seed) = (source.file, source.text, seed.unwrap_or(scenario.seed));
        let (plan, recorded, is_edited) = (None, None, false);
        Ok(Target { given, file, text, scenario, seed, release, plan, recorded, is_edited })
    }

    /// Puts the system on another release than the scenario says.
    fn put_on(&mut self, name: &str) -> Result<(), BadScenario> {
        let expected_as_written = self.scenario.expect;
        S::on_release(&mut self.scenario, name).map_err(|said| {
            let (message, hint) = said.split_once('\n').unwrap_or((&said, ""));
            scenario::unplaced(&format!("--release {name}"), message.to_owned(), hint.to_owned())
        })?;
        self.text = self.scenario.to_text();
        self.release = Some(OnRelease { name: name.to_owned(), expected_as_written });
        // A case's hash is that of the release it was found with.
        self.recorded = None;
        Ok(())
    }

    /// The same with another seed. Only for what has no seed of its own.
    ///
    /// # Errors
    /// As [`find`](Target::find) has.
    pub fn with_seed(&self, seed: u64) -> Result<Target<S>, BadScenario> {
        if self.given == GENERATED {
            let mut found = Self::of(GENERATED, Some(seed), &[])?;
            if let Some(release) = &self.release {
                found.put_on(&release.name)?;
            }
            return Ok(found);
        }
        let (given, file, text) = (self.given.clone(), self.file.clone(), self.text.clone());
        let (scenario, release) = (self.scenario.clone(), self.release.clone());
        let (plan, recorded, is_edited) = (None, None, false);
        Ok(Target { given, file, text, scenario, seed, release, plan, recorded, is_edited })
    }

    /// The release in place of the scenario's own, if one was asked for.
    pub fn release(&self) -> Option<OnRelease> {
        self.release.clone()
    }

    /// Whether it is a stored case, which runs with its own plan.
    pub fn is_case(&self) -> bool {
        self.plan.is_some()
    }

    /// All that the run decides, written out.
    ///
    /// # Errors
    /// A stored plan that this program cannot read.
    pub fn expand(&self) -> Result<Plan<S::Plan>, BadScenario> {
        let Some(stored) = &self.plan else { return Ok(plan::expand::<S>(&self.scenario, self.seed)) };
        case_file::plan_of::<S>(&self.file, stored, self.is_edited)
    }

    /// What its run is compared with: nothing, if it was edited.
    pub fn compared_with(&self) -> Option<&Recorded> {
        self.recorded.as_ref().filter(|_| !self.is_edited)
    }

    /// What a worker is to do.
    pub fn work(&self) -> Work {
        let work = Work::of(self.file.clone(), self.text.clone(), self.seed);
        Work { plan: self.plan.clone(), ..work }
    }

    /// The case, to be made smaller. Its faults stand in the plan alone.
    ///
    /// # Errors
    /// As [`expand`](Target::expand) has.
    pub fn case(&self) -> Result<Case<S>, BadScenario> {
        let plan = self.expand()?;
        let mut scenario = self.scenario.clone();
        scenario.faults = Vec::new();
        // What it was about is no longer so once it is smaller; the case says what it shows.
        scenario.about = String::new();
        scenario.seed = self.seed;
        Ok(Case { scenario, plan })
    }

    /// How the run is called: `generated@7`, or the case's path.
    pub fn name(&self) -> String {
        if self.is_case() { self.given.clone() } else { format!("{}@{}", self.given, self.seed) }
    }

    /// What follows a command on the line that repeats it.
    pub fn arguments(&self) -> String {
        let release = match &self.release {
            Some(release) => format!(" --release {}", shell_word(&release.name)),
            None => String::new(),
        };
        let items = S::cost(&self.scenario).items;
        let allowed = if items > MOST_ITEMS { format!(" --max-items {items}") } else { String::new() };
        format!("{}{release}{allowed}", shell_word(&self.name()))
    }
}

/// Whether `generated@7` is a scenario of this system.
pub(crate) fn has_generator<S: System>() -> bool {
    S::generate(&[]).is_some()
}

fn has_no_generator<S: System>(named: &[NamedScenario]) -> BadScenario {
    let names: Vec<&str> = named.iter().map(|one| one.name).collect();
    let built_in = if names.is_empty() {
        String::new()
    } else {
        format!("one that is built in ({}), or ", names.join(", "))
    };
    let message = format!("{} draws no scenarios of its own", S::NAME);
    scenario::unplaced(GENERATED, message, format!("give {built_in}the path of a JSON file"))
}

/// The scenario that `seed` draws; `None` if this system cannot.
fn generated<S: System>(seed: u64) -> Option<Scenario<S::Topic>> {
    let words = (0..GENERATOR_BYTES / 8).map(|at| keyed_draw(seed, "generate", u128::from(at)));
    let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    let mut scenario = S::generate(&bytes)?;
    scenario.seed = seed;
    Some(scenario)
}

/// A word that a shell takes as it is, quoted if need be.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./@:+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
