//! The program `ambisign`; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ambisign::run(std::env::args_os())
}
