//! Verify: what a run says of itself, tried against it. Held-out rows reach no fit ([`leak`]), rows do not stand on both
//! sides of a split ([`copies`]), and training again gives the same hashes ([`replay`]).

pub mod copies;
pub mod leak;
pub mod replay;
