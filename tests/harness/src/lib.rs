//! Support for the tests that drive the program.
