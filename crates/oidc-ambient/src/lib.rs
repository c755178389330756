//! Find the identity token of the place we run in: a CI job, a cloud machine, a file
