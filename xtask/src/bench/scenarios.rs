//! The scenarios: a table, an entry each.

use super::lab::Distance::{self, Far, Near};
use super::lab::Kind::{self, Referrers, Tags};
use super::lab::Program::{
    self, Ambisign, Cosign, Openssl, Oras, SigstoreGo, SigstorePython, True,
};

/// Something that several programs do, measured in turn.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
    pub(crate) kind: Kind,
    pub(crate) distance: Distance,
    pub(crate) rounds: usize,
    /// How long all rounds may take together, in seconds, with what they need prepared.
    pub(crate) within: u64,
    /// The first one is ours.
    pub(crate) programs: &'static [Program],
    pub(crate) limit: Limit,
    /// What ours must not exceed.
    pub(crate) goals: &'static [Goal],
}

/// What is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    Version,
    /// Signs so many images in one call.
    Sign(usize),
    /// Signs an index with so many images.
    Recursive(usize),
    /// Attests a predicate of so many bytes.
    Attest(usize),
    /// Verifies so many images in one call, by tag.
    Verify(usize),
    /// Verifies one image by its digest.
    VerifyDigest,
    /// Verifies one image with so many signatures.
    Signatures(usize),
    /// Verifies one image with one signature among so many referrers.
    OneAmong(usize),
    /// Verifies one image by a policy file with so many entries.
    Policy(usize),
    /// Signs so many images of one repository in one call.
    SignIn(usize),
    /// Signs so many images, each in a process of its own, all at once.
    Processes(usize),
    /// The verdict of a node about an image, which may know it.
    Node {
        cached: bool,
    },
    /// Copies an image with its signature.
    Copy,
    /// Signs a file of so many bytes.
    SignFile(u64),
    /// Verifies a file of so many bytes.
    VerifyFile(u64),
    /// Signs so many images with a log that publishes every two seconds: ours, and another program's,
    /// which may take fewer.
    SignInBatches(usize, usize),
    /// Signs so many files of 1 KiB: ours, and another program's, which may take fewer.
    SignFiles(usize, usize),
    /// Verifies so many files of 1 KiB: ours, and another program's.
    VerifyFiles(usize, usize),
    /// Finds the identity of a place of the sandbox.
    Identity(&'static str),
}

/// What no program can do better than.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// Another program of the scenario, which does the least that is needed.
    Program(Program),
    /// So many requests to the registry and to services that must follow one another.
    Trips {
        registry: u32,
        services: u32,
    },
    None,
}

/// The most that a figure of ours may be, as a part of another program's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) figure: Figure,
    pub(crate) of: Program,
    pub(crate) most: f64,
}

/// What is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Figure {
    Wall,
    Cpu,
    Memory,
    /// The size of the program.
    Size,
}

const fn wall(most: f64) -> Goal {
    Goal { figure: Figure::Wall, of: Cosign, most }
}

const fn memory(most: f64) -> Goal {
    Goal { figure: Figure::Memory, of: Cosign, most }
}

const BOTH: &[Program] = &[Ambisign, Cosign];
const GIB: u64 = 1 << 30;

const fn near(name: &'static str, work: Work, kind: Kind, goals: &'static [Goal]) -> Scenario {
    let (distance, rounds, within, programs) = (Near, 7, 20, BOTH);
    Scenario { name, work, kind, distance, rounds, within, programs, limit: Limit::None, goals }
}

const fn far(
    name: &'static str,
    work: Work,
    kind: Kind,
    (registry, services): (u32, u32),
    goals: &'static [Goal],
) -> Scenario {
    let limit = Limit::Trips { registry, services };
    let (distance, rounds, within, programs) = (Far, 3, 40, BOTH);
    Scenario { name, work, kind, distance, rounds, within, programs, limit, goals }
}

/// To sign one image: find it, certificate, log, bundle, manifest, and without the referrers API
/// the list of signatures, which is read before and after it is written.
const SIGN: (u32, u32) = (3, 2);
const SIGN_TAGS: (u32, u32) = (4, 2);

/// To verify one by tag: the image, what refers to it, the manifest, the bundle.
const VERIFY: (u32, u32) = (4, 0);
const VERIFY_DIGEST: (u32, u32) = (3, 0);

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        rounds: 21,
        programs: &[Ambisign, Cosign, True],
        limit: Limit::Program(True),
        ..near(
            "start",
            Work::Version,
            Tags,
            &[
                Goal { figure: Figure::Cpu, of: Cosign, most: 1.0 / 8.0 },
                memory(1.0 / 10.0),
                Goal { figure: Figure::Size, of: Cosign, most: 1.0 / 11.0 },
            ],
        )
    },
    near("sign-1", Work::Sign(1), Tags, &[wall(3.0)]),
    near("sign-1-referrers", Work::Sign(1), Referrers, &[wall(1.5)]),
    near("sign-10", Work::Sign(10), Tags, &[wall(1.0 / 3.0)]),
    near("sign-10-referrers", Work::Sign(10), Referrers, &[wall(1.0 / 3.0)]),
    Scenario { rounds: 5, within: 30, ..near("sign-50", Work::Sign(50), Tags, &[wall(1.0 / 3.0)]) },
    Scenario {
        rounds: 5,
        within: 30,
        ..near("sign-50-referrers", Work::Sign(50), Referrers, &[wall(1.0 / 3.0)])
    },
    Scenario {
        rounds: 1,
        within: 45,
        ..near("sign-200", Work::Sign(200), Tags, &[memory(1.0 / 4.0)])
    },
    // Ten seconds for a hundred images: cosign takes at least two for each.
    Scenario {
        rounds: 1,
        within: 40,
        ..near("sign-100-rekor-v2", Work::SignInBatches(100, 3), Tags, &[wall(1.0 / 20.0)])
    },
    Scenario {
        rounds: 1,
        within: 40,
        ..near(
            "sign-100-rekor-v2-referrers",
            Work::SignInBatches(100, 3),
            Referrers,
            &[wall(1.0 / 20.0)],
        )
    },
    Scenario { rounds: 5, ..far("sign-1-far", Work::Sign(1), Tags, SIGN_TAGS, &[wall(1.0)]) },
    Scenario {
        rounds: 5,
        ..far("sign-1-far-referrers", Work::Sign(1), Referrers, SIGN, &[wall(1.0)])
    },
    far("sign-10-far", Work::Sign(10), Tags, SIGN_TAGS, &[wall(1.0 / 8.0)]),
    far("sign-10-far-referrers", Work::Sign(10), Referrers, SIGN, &[wall(1.0 / 8.0)]),
    Scenario {
        rounds: 1,
        within: 90,
        ..far("sign-50-far", Work::Sign(50), Tags, SIGN_TAGS, &[wall(1.0 / 8.0)])
    },
    near("verify-1", Work::Verify(1), Tags, &[]),
    near("verify-10", Work::Verify(10), Tags, &[]),
    Scenario { rounds: 5, ..near("verify-50", Work::Verify(50), Tags, &[]) },
    Scenario { rounds: 5, ..far("verify-1-far", Work::Verify(1), Tags, VERIFY, &[]) },
    Scenario {
        rounds: 5,
        ..far("verify-digest-far", Work::VerifyDigest, Tags, VERIFY_DIGEST, &[wall(1.0 / 2.5)])
    },
    Scenario {
        rounds: 5,
        ..far(
            "verify-digest-far-referrers",
            Work::VerifyDigest,
            Referrers,
            VERIFY_DIGEST,
            &[wall(1.0 / 2.5)],
        )
    },
    far("verify-10-far", Work::Verify(10), Tags, VERIFY, &[wall(1.0 / 8.0)]),
    Scenario {
        rounds: 1,
        ..far("verify-50-far", Work::Verify(50), Tags, VERIFY, &[wall(1.0 / 8.0)])
    },
    Scenario {
        rounds: 5,
        within: 45,
        ..near("signatures-100", Work::Signatures(100), Referrers, &[wall(1.0 / 8.0)])
    },
    Scenario {
        rounds: 2,
        ..far(
            "signatures-100-far",
            Work::Signatures(100),
            Referrers,
            VERIFY_DIGEST,
            &[wall(1.0 / 8.0)],
        )
    },
    Scenario {
        rounds: 1,
        within: 75,
        ..far("one-among-1000-far", Work::OneAmong(1000), Referrers, VERIFY_DIGEST, &[])
    },
    Scenario {
        rounds: 1,
        within: 60,
        ..far("recursive-20-far", Work::Recursive(20), Tags, SIGN_TAGS, &[])
    },
    Scenario { rounds: 3, ..near("attest-1mb", Work::Attest(1_000_000), Tags, &[]) },
    Scenario { rounds: 1, within: 60, ..near("attest-40mb", Work::Attest(40_000_000), Tags, &[]) },
    Scenario { programs: &[Ambisign, Oras], ..near("copy", Work::Copy, Referrers, &[]) },
    ours("node-cold", Work::Node { cached: false }, Referrers),
    ours("node-cached", Work::Node { cached: true }, Referrers),
    near("sign-blob-1kib", Work::SignFile(1024), Tags, &[]),
    Scenario {
        rounds: 3,
        within: 60,
        programs: &[Ambisign, Openssl, Cosign],
        limit: Limit::Program(Openssl),
        ..near(
            "sign-blob-1gib",
            Work::SignFile(GIB),
            Tags,
            &[Goal { figure: Figure::Wall, of: Openssl, most: 1.1 }, memory(1.0 / 150.0)],
        )
    },
    Scenario {
        within: 40,
        programs: &[Ambisign, Cosign, SigstoreGo, SigstorePython],
        ..near("verify-blob-1kib", Work::VerifyFile(1024), Tags, &[])
    },
    Scenario {
        rounds: 3,
        within: 40,
        programs: &[Ambisign, Openssl, Cosign, SigstoreGo],
        limit: Limit::Program(Openssl),
        ..near("verify-blob-1gib", Work::VerifyFile(GIB), Tags, &[])
    },
    Scenario {
        rounds: 1,
        within: 120,
        programs: &[Ambisign, Cosign, SigstorePython],
        ..near("files-10000", Work::SignFiles(10_000, 10), Tags, &[wall(1.0 / 20.0)])
    },
    Scenario {
        rounds: 1,
        within: 60,
        ..near("verify-files-10000", Work::VerifyFiles(10_000, 10), Tags, &[])
    },
    identity("identity-github", "github"),
    identity("identity-spiffe", "spiffe"),
    identity("identity-token-file", "token-file"),
    Scenario {
        rounds: 1,
        within: 60,
        ..ours("load-200-processes", Work::Processes(200), Referrers)
    },
    Scenario { rounds: 1, within: 60, ..ours("load-2000-images", Work::Sign(2000), Referrers) },
];

/// Without another program.
const fn ours(name: &'static str, work: Work, kind: Kind) -> Scenario {
    Scenario { programs: &[Ambisign], ..near(name, work, kind, &[]) }
}

const fn identity(name: &'static str, place: &'static str) -> Scenario {
    Scenario {
        programs: &[Ambisign, True],
        limit: Limit::Program(True),
        ..near(name, Work::Identity(place), Tags, &[])
    }
}

impl Work {
    /// How many things one call of `program` does.
    pub(crate) fn items(self, program: Program) -> usize {
        match self {
            Self::Sign(count)
            | Self::SignIn(count)
            | Self::Processes(count)
            | Self::Verify(count) => count,
            Self::SignFiles(ours, theirs)
            | Self::VerifyFiles(ours, theirs)
            | Self::SignInBatches(ours, theirs) => {
                if program == Ambisign {
                    ours
                } else {
                    theirs
                }
            }
            _ => 1,
        }
    }

    /// What grows in a scenario of growth.
    pub(crate) fn number(self) -> usize {
        match self {
            Self::OneAmong(count) | Self::Policy(count) => count,
            other => other.items(Ambisign),
        }
    }

    /// In words.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Version => "`version`".to_owned(),
            Self::Sign(1) => "`sign` of one image".to_owned(),
            Self::Sign(count) => format!("`sign` of {count} images"),
            Self::Recursive(count) => format!("`sign --recursive` of an index of {count} images"),
            Self::Attest(bytes) => format!("`attest`, a predicate of {} MB", bytes / 1_000_000),
            Self::Verify(1) => "`verify` of one image by tag".to_owned(),
            Self::Verify(count) => format!("`verify` of {count} images"),
            Self::VerifyDigest => "`verify` of one image by digest".to_owned(),
            Self::Signatures(count) => format!("`verify` of one image with {count} signatures"),
            Self::OneAmong(count) => {
                format!("`verify` of one image with {count} referrers, one of them a signature")
            }
            Self::Policy(count) => format!("`verify` by a policy file of {count} entries"),
            Self::SignIn(count) => format!("`sign` of {count} images of one repository"),
            Self::Processes(count) => format!("{count} processes of `sign` at once, an image each"),
            Self::Node { cached: false } => "`image-verifier` of a new image".to_owned(),
            Self::Node { cached: true } => "`image-verifier` of an image it knows".to_owned(),
            Self::Copy => "`copy` of an image with its signature".to_owned(),
            Self::SignFile(bytes) => format!("`sign-blob`, {}", size(bytes)),
            Self::VerifyFile(bytes) => format!("`verify-blob`, {}", size(bytes)),
            Self::SignInBatches(ours, theirs) => format!(
                "`sign` of {ours} images (others: {theirs}), a log that publishes every 2 s, each image"
            ),
            Self::SignFiles(ours, theirs) => {
                format!("`sign-blob` of {ours} files of 1 KiB (others: {theirs}), each file")
            }
            Self::VerifyFiles(ours, theirs) => {
                format!("`verify-blob` of {ours} files of 1 KiB (others: {theirs}), each file")
            }
            Self::Identity("spiffe") => "`identity` by the SPIFFE Workload API".to_owned(),
            Self::Identity(place) => format!("`identity` of {place}"),
        }
    }
}

fn size(bytes: u64) -> String {
    if bytes >= GIB { format!("{} GiB", bytes >> 30) } else { format!("{} KiB", bytes >> 10) }
}
