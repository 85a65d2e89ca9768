//! The input of a command: a scenario by name or file, a generated scenario (`generated@7`), or a stored case.

use crate::case::ipc::CaseRequest;
use crate::case_file::{self, CaseFile, CaseHeader};
use crate::report::ReleaseOverride;
use crate::scenario::{self, NamedScenario, Scenario, ScenarioError};
use crate::variant::{VariantArgs, VariantAxis};
use crate::{Case, CaseOf, Generator, Plan, Problem, System, expand, suggest};
use latent_sim::keyed_draw;
use latent_verdict::Outcome;
use serde_json::Value;

/// Name of the first generator of every system that has one.
pub(crate) const GENERATED: &str = "generated";
/// Default limit of a scenario's items: about 3 GB of memory and a minute. `--max-items` raises it.
pub(crate) const MAX_ITEMS: u64 = 1_000_000;
/// Number of bytes that a generated scenario is built from.
const GENERATOR_BYTES: u64 = 8 << 10;

/// A case before it runs.
pub(crate) struct CaseSource<S: System> {
    /// The name or path as given on the command line.
    pub given: String,
    /// The file to name in errors.
    pub file: String,
    /// The scenario's text, as sent to a worker.
    pub text: String,
    pub scenario: Scenario<S::Config>,
    pub seed: u64,
    /// The release given on the command line, if any.
    release: Option<ReleaseOverride>,
    /// The variants given on the command line.
    variants: Vec<(VariantAxis, String)>,
    /// Plan of a stored case.
    plan: Option<Value>,
    /// Header of a stored case.
    pub recorded: Option<CaseHeader>,
    /// Whether a stored case was edited since it was recorded, so that its run differs.
    pub is_edited: bool,
}

impl<S: System> CaseSource<S> {
    /// Loads `target`: `NAME[@SEED]`, a scenario file, or a case file.
    ///
    /// # Errors
    /// It does not exist, cannot run, or asks for more than `max_items`; with its position in the file.
    pub fn find(
        target: &str,
        named: &[NamedScenario],
        release: Option<&str>,
        max_items: u64,
    ) -> Result<CaseSource<S>, ScenarioError> {
        let (given, seed) = scenario::parse_target(target)?;
        let mut found = Self::of(&given, seed, named)?;
        scenario::check_cost::<S>(&found.file, &found.text, &found.scenario, max_items)?;
        if let Some(name) = release {
            found.put_on(name)?;
        }
        Ok(found)
    }

    fn of(given: &str, seed: Option<u64>, named: &[NamedScenario]) -> Result<CaseSource<S>, ScenarioError> {
        let given = given.to_owned();
        if let Some(generator) = generator::<S>(&given) {
            let scenario = generated(generator, seed.unwrap_or(1));
            let (seed, text) = (scenario.seed, scenario.to_text());
            let file = format!("{given}@{seed}");
            return Ok(Self::as_written((given, file), text, scenario, seed));
        }
        let generators: Vec<&str> = S::GENERATORS.iter().map(|generator| generator.name).collect();
        let source = scenario::find(&given, named, &generators).map_err(|bad| {
            if generators.is_empty() && given == GENERATED { has_no_generator::<S>(named) } else { bad }
        })?;
        if let Some(case) = CaseFile::read(&source.file, &source.text)? {
            if seed.is_some() {
                let message = "a case has its own seed".to_owned();
                return Err(scenario::error_without_position(
                    &source.file,
                    message,
                    format!("omit it: {given}"),
                ));
            }
            let scenario = scenario::parse::<S>(&source.file, &case.scenario)?;
            let (file, text, seed) = (source.file, case.scenario, scenario.seed);
            let (plan, recorded, is_edited) = (Some(case.plan), Some(case.recorded), case.is_edited);
            let target = CaseSource {
                plan,
                recorded,
                is_edited,
                ..Self::as_written((given, file), text, scenario, seed)
            };
            target.expand()?;
            return Ok(target);
        }
        let scenario = scenario::parse::<S>(&source.file, &source.text)?;
        let seed = seed.unwrap_or(scenario.seed);
        Ok(Self::as_written((given, source.file), source.text, scenario, seed))
    }

    /// A scenario with its own release and parts, and no stored plan; given by a name, which errors call a file's.
    fn as_written(
        (given, file): (String, String),
        text: String,
        scenario: Scenario<S::Config>,
        seed: u64,
    ) -> CaseSource<S> {
        CaseSource {
            given,
            file,
            text,
            scenario,
            seed,
            release: None,
            variants: Vec::new(),
            plan: None,
            recorded: None,
            is_edited: false,
        }
    }

    /// Puts the system on another release than the scenario's.
    fn put_on(&mut self, name: &str) -> Result<(), ScenarioError> {
        let expected_as_written = self.scenario.expect;
        S::set_release(&mut self.scenario, name).map_err(|Problem { message, hint }| {
            scenario::error_without_position(&format!("--release {name}"), message, hint)
        })?;
        self.text = self.scenario.to_text();
        self.release = Some(ReleaseOverride { name: name.to_owned(), expected_as_written });
        // The recorded hash belongs to the release of the recorded run.
        self.recorded = None;
        Ok(())
    }

    /// Puts named variants in place of the scenario's own parts. The expected outcome was for those: it becomes `clean`.
    ///
    /// # Errors
    /// The system has no variant of a name.
    pub fn varied(mut self, variants: &VariantArgs) -> Result<CaseSource<S>, ScenarioError> {
        for (axis, name) in variants.given() {
            self.set_variant(axis, name)?;
        }
        Ok(self)
    }

    fn set_variant(&mut self, axis: VariantAxis, name: &str) -> Result<(), ScenarioError> {
        if !S::set_variant(&mut self.scenario, axis, name) {
            let known: Vec<&str> = S::variants(axis).iter().map(|one| one.name).collect();
            let mut hint = format!("there are: {}", known.join(", "));
            if let Some(candidate) = suggest(name, known).first() {
                hint = format!("did you mean {candidate}? {hint}");
            }
            let (option, message) = (axis.option(), format!("no {axis} is called '{name}'"));
            return Err(scenario::error_without_position(&format!("{option} {name}"), message, hint));
        }
        self.scenario.expect = Outcome::Clean.into();
        self.text = self.scenario.to_text();
        self.variants.push((axis, name.to_owned()));
        // The recorded outcome is that of the recorded parts.
        self.recorded = None;
        Ok(())
    }

    /// Returns the same source with another seed. Only for a source without a seed of its own.
    ///
    /// # Errors
    /// As [`find`](CaseSource::find).
    pub fn with_seed(&self, seed: u64) -> Result<CaseSource<S>, ScenarioError> {
        if generator::<S>(&self.given).is_some() {
            let mut found = Self::of(&self.given, Some(seed), &[])?;
            if let Some(release) = &self.release {
                found.put_on(&release.name)?;
            }
            for (axis, name) in &self.variants {
                found.set_variant(*axis, name)?;
            }
            return Ok(found);
        }
        let (given, file, text) = (self.given.clone(), self.file.clone(), self.text.clone());
        let (scenario, release) = (self.scenario.clone(), self.release.clone());
        let (variants, plan, recorded, is_edited) = (self.variants.clone(), None, None, false);
        Ok(CaseSource { given, file, text, scenario, seed, release, variants, plan, recorded, is_edited })
    }

    /// The release that overrides the scenario's own, if any.
    pub fn release(&self) -> Option<ReleaseOverride> {
        self.release.clone()
    }

    /// Whether it is a stored case, which runs with its own plan.
    pub fn is_case(&self) -> bool {
        self.plan.is_some()
    }

    /// Returns the plan of the run.
    ///
    /// # Errors
    /// A stored plan that this program cannot read.
    pub fn expand(&self) -> Result<Plan<S::Plan>, ScenarioError> {
        let Some(stored) = &self.plan else { return Ok(expand::<S>(&self.scenario, self.seed)) };
        case_file::plan_of::<S>(&self.file, stored, self.is_edited)
    }

    /// The recorded run to compare with; `None` if the case was edited.
    pub fn compared_with(&self) -> Option<&CaseHeader> {
        self.recorded.as_ref().filter(|_| !self.is_edited)
    }

    /// Builds the request for a worker.
    pub fn request(&self) -> CaseRequest {
        let request = CaseRequest::of(self.file.clone(), self.text.clone(), self.seed);
        CaseRequest { plan: self.plan.clone(), ..request }
    }

    /// Returns the case for shrinking. Its faults are in the plan only.
    ///
    /// # Errors
    /// As [`expand`](CaseSource::expand).
    pub fn case(&self) -> Result<CaseOf<S>, ScenarioError> {
        let plan = self.expand()?;
        let mut scenario = self.scenario.clone();
        scenario.faults = Vec::new();
        // The description no longer applies to a smaller case; the case header says what the run shows.
        scenario.about = String::new();
        scenario.seed = self.seed;
        Ok(Case { scenario, plan })
    }

    /// Name of the run: `generated@7`, or the case's path.
    pub fn name(&self) -> String {
        if self.is_case() { self.given.clone() } else { format!("{}@{}", self.given, self.seed) }
    }

    /// Arguments of the command that reproduces the run.
    pub fn arguments(&self) -> String {
        let release = match &self.release {
            Some(release) => format!(" --release {}", shell_word(&release.name)),
            None => String::new(),
        };
        let variant =
            |(axis, name): &(VariantAxis, String)| format!(" {} {}", axis.option(), shell_word(name));
        let variants: String = self.variants.iter().map(variant).collect();
        let items = S::cost(&self.scenario).items;
        let allowed = if items > MAX_ITEMS { format!(" --max-items {items}") } else { String::new() };
        format!("{}{release}{variants}{allowed}", shell_word(&self.name()))
    }
}

/// Returns the generator of this name.
pub(crate) fn generator<S: System>(name: &str) -> Option<&'static Generator<S::Config>> {
    S::GENERATORS.iter().find(|generator| generator.name == name)
}

fn has_no_generator<S: System>(named: &[NamedScenario]) -> ScenarioError {
    let names: Vec<&str> = named.iter().map(|one| one.name).collect();
    let built_in =
        if names.is_empty() { String::new() } else { format!("a built-in name ({}) or ", names.join(", ")) };
    let message = format!("{} has no generated scenarios", S::NAME);
    scenario::error_without_position(GENERATED, message, format!("give {built_in}the path of a JSON file"))
}

/// Generates the scenario of `seed`.
fn generated<T>(generator: &Generator<T>, seed: u64) -> Scenario<T> {
    let words = (0..GENERATOR_BYTES / 8).map(|at| keyed_draw(seed, "generate", u128::from(at)));
    let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    let mut scenario = (generator.generate)(&bytes);
    scenario.seed = seed;
    scenario
}

/// Quotes a word for a shell if necessary.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./@:+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
