//! What is done with CONNECT, which asks for a tunnel to anywhere.

/// Whether requests with the method CONNECT go to the backend that the routes choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Connect {
    #[default]
    Refuse,
    Forward,
}
