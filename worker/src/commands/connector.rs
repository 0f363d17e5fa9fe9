//! `connector`: the template library, and a connector made of one of its templates.

use super::{Usage, check, json_line, usage};
use carom_common::id::{AdvertiserId, ConnectorId};
use carom_common::library::{self, Evidence, Refused, Setting, Template, Wanted};
use carom_common::resources::files;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

#[derive(Subcommand)]
pub enum ConnectorCommand {
    /// List the templates: what each is called and what must be known to use it.
    List {
        /// One JSON object a line, with everything that is known of it.
        #[arg(long)]
        json: bool,
    },
    /// Print a connector made of a template, or write it to a file: commented, checked, ready for `apply`.
    New(NewArgs),
}

/// What a new connector is made of.
#[derive(Args)]
pub struct NewArgs {
    /// The template, such as meta_capi; `connector list` names them.
    #[arg(long)]
    from: String,
    /// The new connector's id.
    #[arg(long)]
    id: ConnectorId,
    /// Whose it is.
    #[arg(long)]
    advertiser: AdvertiserId,
    /// Its name, for people; the template's unless you say so.
    #[arg(long)]
    name: Option<String>,
    /// A setting of the template. Of a secret, tell the environment variable that the worker finds it in.
    #[arg(long = "set", value_name = "SETTING=VALUE")]
    settings: Vec<String>,
    /// Write it to this file, which must not be there yet.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

/// A template as `--json` lists it.
#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    name: &'a str,
    description: &'a str,
    evidence: Evidence,
    sources: &'a [String],
    settings: &'a [Setting],
}

impl<'a> From<&'a Template> for Listed<'a> {
    fn from(template: &'a Template) -> Self {
        Self {
            id: template.id(),
            name: template.name(),
            description: template.description(),
            evidence: template.evidence(),
            sources: template.sources(),
            settings: template.settings(),
        }
    }
}

/// Does it. Neither store nor broker is needed.
pub fn run(command: &ConnectorCommand) -> anyhow::Result<()> {
    match command {
        ConnectorCommand::List { json: true } => {
            library::templates().iter().try_for_each(|template| json_line(&Listed::from(template)))
        }
        ConnectorCommand::List { json: false } => {
            library::templates().iter().for_each(list);
            Ok(())
        }
        ConnectorCommand::New(args) => new(args),
    }
}

/// One line: its id, its name and its settings, those that can be left open in brackets.
fn list(template: &Template) {
    let settings = template.settings().iter().map(|setting| {
        if setting.optional || setting.secret { format!("[{}]", setting.name) } else { setting.name.clone() }
    });
    let settings = settings.collect::<Vec<_>>().join(" ");
    println!("{:<18}  {:<40}  {settings}", template.id(), template.name());
}

fn new(args: &NewArgs) -> anyhow::Result<()> {
    let template = library::template(&args.from)
        .map_err(|unknown| Usage(format!("{unknown} (`connector list` names them all)")))?;
    let settings = settings(&args.settings)?;
    let wanted = Wanted {
        id: &args.id,
        advertiser: &args.advertiser,
        name: args.name.as_deref(),
        settings: &settings,
    };
    let text = template.fill(&wanted).map_err(|refused| Usage(list_of(&refused)))?;
    let name = args.output.as_deref().map_or_else(|| args.from.clone(), |path| path.display().to_string());
    // The advertiser is elsewhere, in files that are not asked for here.
    let advertiser = format!("[[advertiser]]\nid = \"{}\"\n", args.advertiser);
    let checked = files::of_text(&name, &format!("{text}\n{advertiser}")).map_err(usage)?;
    check::tell("warning", &checked.warnings);
    match &args.output {
        Some(path) => write(path, &text)?,
        None => print!("{text}"),
    }
    Ok(())
}

/// `NAME=VALUE` each. A setting that is told twice is a mistake that somebody must see.
fn settings(given: &[String]) -> Result<BTreeMap<String, String>, Usage> {
    let mut settings = BTreeMap::new();
    for pair in given {
        // The whole of it is not repeated: it may be a secret.
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Usage("write --set SETTING=VALUE, with the sign between".into()))?;
        if settings.insert(name.trim().to_owned(), value.to_owned()).is_some() {
            return Err(Usage(format!("{} is set twice", name.trim())));
        }
    }
    Ok(settings)
}

fn list_of(refused: &[Refused]) -> String {
    refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let named = |error: &io::Error| match error.kind() {
        ErrorKind::AlreadyExists => format!("{} is there already: name a file that is not", path.display()),
        _ => format!("{} cannot be written", path.display()),
    };
    let written = File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        let named = named(&error);
        anyhow::Error::new(error).context(named)
    })?;
    eprintln!("written to {}; next: carom-worker check, then carom-worker apply", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_name_and_a_value_and_may_hold_more_signs() {
        let settings = settings(&["a=1".to_owned(), "b=x=y".to_owned()]).unwrap();
        assert_eq!(settings["a"], "1");
        assert_eq!(settings["b"], "x=y");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_refused_with_its_own_cause() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("awin.toml");
        write(&file, "mine").unwrap();
        let refused = format!("{:#}", write(&file, "yours").unwrap_err());
        assert!(refused.contains("is there already: name a file that is not"), "{refused}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
        let refused = format!("{:#}", write(&folder.path().join("none/awin.toml"), "mine").unwrap_err());
        assert!(refused.contains("cannot be written: ") && !refused.contains("name a file"), "{refused}");
    }

    #[test]
    fn a_setting_that_is_told_twice_or_without_a_value_is_refused_and_no_value_is_repeated() {
        for bad in [&["hush"][..], &["a=hush", "a=hush"]] {
            let given: Vec<_> = bad.iter().map(|&pair| pair.to_owned()).collect();
            let Usage(said) = settings(&given).unwrap_err();
            assert!(!said.contains("hush"), "{said}");
        }
    }
}
