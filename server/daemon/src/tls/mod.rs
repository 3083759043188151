//! TLS of `https://` endpoints: certificate and key from files, read again when they change, and client certificates where
//! an authority for them is given. Knows connections, not calls; who may call is asked in `auth`.

mod accept;
mod material;
mod plain;
mod validity;

pub(crate) use self::accept::{Connections, serve};
pub use self::material::{Certificates, TlsError, TlsFiles};
pub(crate) use self::validity::Validity;
