//! The task `dist`: what a release consists of, in `target/dist`.
//!
//! One archive for each target: both programs, statically linked, with completions, manual pages,
//! the licences of all dependencies and the list of them (CycloneDX). Beside the archives their
//! sums, the list, and what they were built from. The same sources give the same bytes, in whichever
//! directory they are built.

pub(crate) mod archive;
mod build;
mod dependencies;
mod documents;
mod empty_root;
mod image;
mod licences;
mod provenance;
mod rehearsal;
mod sbom;
mod signed;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use self::build::Target;
use crate::workspace;

/// What a person asked for.
#[derive(Debug, Default)]
struct Options {
    check: bool,
    image: bool,
    /// Where the images go: a registry with what precedes their names. Without it, they stay in
    /// `target/dist`.
    push: Option<String>,
    sign: bool,
    rehearse: bool,
}

/// The programs of a release, and the packages they are in.
pub(crate) const PROGRAMS: [(&str, &str); 2] =
    [("ambisign", "ambisign"), ("sigstore-sandbox", "sigstore-sandbox")];

/// The task.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let options = parse(arguments)?;
    if options.check {
        return build::check(&home(), &build::targets()?);
    }
    make(&options).map(drop)
}

/// Makes a release, and signs and verifies all of it on a Sigstore of this machine. Returns the
/// program `ambisign` that is in it.
pub(crate) fn rehearse() -> Result<PathBuf> {
    make(&Options { rehearse: true, ..Options::default() })
}

fn home() -> PathBuf {
    workspace::target().join("dist")
}

fn make(options: &Options) -> Result<PathBuf> {
    let (home, targets) = (home(), build::targets()?);
    let mut built = Vec::new();
    for target in targets {
        let programs = build::programs(&workspace::root(), &home.join("build"), &target)
            .with_context(|| format!("no programs for {target}"))?;
        built.push((target, programs));
    }
    let of_this_machine = built.iter().find(|(target, _)| target.is_of_this_machine());
    let of_this_machine = of_this_machine.context("nothing was built for this machine")?;
    empty_root::try_programs(&of_this_machine.1)?;
    let ambisign = of_this_machine.1.join("ambisign");
    let mut made = Vec::new();
    if options.image || options.rehearse {
        for (_, program) in PROGRAMS {
            let layout = image::write(&home, program, &built)?;
            println!("{}", layout.display());
            if let Some(registry) = &options.push {
                let reference = format!("{registry}/{program}:{}", env!("CARGO_PKG_VERSION"));
                image::push(&ambisign, &layout, &reference, options.sign, &[])?;
            }
            if options.rehearse {
                rehearsal::image(&ambisign, program, &layout, of_this_machine.0)?;
            }
        }
    }
    if options.image {
        return Ok(ambisign);
    }
    for (target, programs) in &built {
        made.extend(assemble(&home, programs, *target)?);
    }
    made.push(archive::write_sums(&home, &made)?);
    if options.rehearse {
        rehearsal::files(&ambisign, &made)?;
    } else if options.sign {
        made.extend(signed::sign(&ambisign, &home, &made, &[])?);
    }
    for file in made {
        println!("{:>9} {}", std::fs::metadata(&file)?.len(), file.display());
    }
    Ok(ambisign)
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options::default();
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        match argument {
            "--check" => options.check = true,
            "--image" => options.image = true,
            "--sign" => options.sign = true,
            "--rehearse" => options.rehearse = true,
            "--push" => {
                let place = arguments.next();
                let place = place.context("--push needs a registry, such as ghcr.io/acme")?;
                (options.image, options.push) = (true, Some(place.to_owned()));
            }
            other => {
                let known = "--check, --image, --push, --rehearse and --sign";
                bail!("dist has no option {other:?}, only {known}")
            }
        }
    }
    Ok(options)
}

/// Makes the archive of `programs`, with its list of dependencies and its provenance beside it.
fn assemble(home: &Path, programs: &Path, target: Target) -> Result<Vec<PathBuf>> {
    let name = format!("ambisign-{}-{}", env!("CARGO_PKG_VERSION"), target.platform());
    let target = target.triple();
    let dependencies = dependencies::of(&PROGRAMS, target)?;
    let stage = home.join("stage").join(&name);
    if stage.exists() {
        std::fs::remove_dir_all(&stage)?;
    }
    std::fs::create_dir_all(&stage)?;
    for (_, program) in PROGRAMS {
        archive::put_program(&programs.join(program), &stage.join(program))?;
    }
    documents::write(&stage)?;
    std::fs::write(stage.join("THIRD-PARTY.txt"), licences::text(&dependencies)?)?;
    let sbom = serde_json::to_string_pretty(&sbom::document(&dependencies, target))? + "\n";
    std::fs::write(stage.join("sbom.cdx.json"), &sbom)?;

    let archive = home.join(format!("{name}.tar.gz"));
    archive::pack(&stage, &archive)?;
    let sbom_file = home.join(format!("{name}.cdx.json"));
    std::fs::write(&sbom_file, sbom)?;
    let provenance = home.join(format!("{name}.provenance.json"));
    let predicate = provenance::predicate(target, &dependencies)?;
    std::fs::write(&provenance, serde_json::to_string_pretty(&predicate)? + "\n")?;
    Ok(vec![archive, sbom_file, provenance])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_option_is_named_with_those_there_are() {
        let error = parse(&["--fast".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("--fast") && error.contains("--check"), "{error}");
        let push = parse(&["--push".to_owned(), "registry.test/acme".to_owned()]).unwrap();
        assert!(push.image && push.push.is_some());
        assert!(parse(&["--push".to_owned()]).is_err());
    }
}
