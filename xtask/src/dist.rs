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
mod image;
mod licences;
mod provenance;
mod sbom;
mod signed;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::workspace;

/// What a person asked for.
#[derive(Debug, Default)]
struct Options {
    check: bool,
    image: bool,
    /// Where the image goes, as a reference; without it, it stays in `target/dist`.
    push: Option<String>,
    sign: bool,
}

/// The programs of a release, and the packages they are in.
pub(crate) const PROGRAMS: [(&str, &str); 2] =
    [("ambisign", "ambisign"), ("sigstore-sandbox", "sigstore-sandbox")];

/// The task.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let options = parse(arguments)?;
    let home = workspace::target().join("dist");
    let targets = build::targets()?;
    if options.check {
        return build::check(&home, &targets);
    }
    let mut made = Vec::new();
    for target in &targets {
        let programs = build::programs(&workspace::root(), &home.join("build"), target)
            .with_context(|| format!("no programs for {target}"))?;
        build::try_in_an_empty_root(&programs)?;
        if options.image {
            let layout = image::write(&home, &programs, target)?;
            println!("{}", layout.display());
            if let Some(reference) = &options.push {
                let program = build::runnable(&home, &targets)?;
                image::push(&program, &layout, reference, options.sign, &[])?;
            }
            continue;
        }
        made.extend(assemble(&home, &programs, target.triple())?);
    }
    if options.image {
        return Ok(());
    }
    made.push(archive::write_sums(&home, &made)?);
    if options.sign {
        let program = build::runnable(&home, &targets)?;
        made.extend(signed::sign(&program, &home, &made, &[])?);
    }
    for file in made {
        println!("{:>9} {}", std::fs::metadata(&file)?.len(), file.display());
    }
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options::default();
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        match argument {
            "--check" => options.check = true,
            "--image" => options.image = true,
            "--sign" => options.sign = true,
            "--push" => {
                let reference = arguments.next().context("--push needs the name of an image")?;
                (options.image, options.push) = (true, Some(reference.to_owned()));
            }
            other => {
                bail!("dist has no option {other:?}, only --check, --image, --push and --sign")
            }
        }
    }
    Ok(options)
}

/// Makes the archive of `programs`, with its list of dependencies and its provenance beside it.
fn assemble(home: &Path, programs: &Path, target: &str) -> Result<Vec<PathBuf>> {
    let name = format!("ambisign-{}-{target}", env!("CARGO_PKG_VERSION"));
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
        let push = parse(&["--push".to_owned(), "registry.test/app:v1".to_owned()]).unwrap();
        assert!(push.image && push.push.is_some());
        assert!(parse(&["--push".to_owned()]).is_err());
    }
}
