//! A client of the SPIFFE Workload API over a Unix socket or TCP
