//! Access to clouds with the credentials that the machine already has.
