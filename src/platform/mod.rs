//! OpenWhisk seen from outside: what calls actions, what stands in for the platform, what deploys to it.
//!
//! [`client`] is the one HTTP client. [`local`] is a platform on loopback (`fraudml serve`) that runs the very runner of the
//! image, by the rules of [`activation`] and [`web`]; [`load`] measures one (`fraudml bench`), [`parity`] compares it with
//! the offline scores. [`ray`] gives a grid to a cluster. Source of the rules: apache/openwhisk, controller and invoker. Nothing here prints.

pub mod activation;
pub mod client;
pub mod clock;
pub mod credentials;
pub mod deploy;
pub mod load;
pub mod local;
pub mod parity;
pub mod processes;
pub mod ray;
pub mod registry;
pub mod target;
pub mod web;
