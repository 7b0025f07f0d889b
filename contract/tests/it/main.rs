//! The contract model as its users see it: whole folders in, contracts or faults out.

mod samples;
