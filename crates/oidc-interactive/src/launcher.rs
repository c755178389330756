//! The person's browser.

use host::{Launch, ProgramError, Programs};

/// Opens `url` in the browser that the person uses, and resolves when the launcher ends, with the
/// reason if no browser came of it.
///
/// A launcher may end at once or with the browser: never wait for it alone.
pub(crate) async fn open(programs: &dyn Programs, url: &str) -> Option<String> {
    let (program, args): (&str, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(windows) {
        ("rundll32", &["url.dll,FileProtocolHandler"])
    } else {
        ("xdg-open", &[])
    };
    let launch = Launch::new(program, args.iter().copied().chain([url]));
    match programs.launch(launch.without(id_token::SECRET_VARIABLES)).await {
        Ok(Some(0)) => None,
        Ok(Some(code)) => Some(format!("{program} ended with code {code}")),
        Ok(None) => Some(format!("{program} was ended by a signal")),
        Err(ProgramError::NotFound { .. }) => Some(format!("there is no {program}")),
        Err(error) => Some(error.to_string()),
    }
}
