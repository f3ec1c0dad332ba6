//! Messages between workers: lanes, credits, doorbells.
