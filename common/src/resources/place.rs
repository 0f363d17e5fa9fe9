//! Where resources were read, so that a fault names its file and key.

/// Where each resource was read, in the order of the document: the file and the key, as in
/// `connector[meta]`.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Of the sources, in their order.
    pub sources: Vec<Place>,
    /// Of the advertisers.
    pub advertisers: Vec<Place>,
    /// Of the offers.
    pub offers: Vec<Place>,
    /// Of the connectors.
    pub connectors: Vec<Place>,
}

/// A place in a file.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The resource, as in `connector[meta]`.
    pub key: String,
    /// The line of the file that its pixel's code begins in, where its lines are the file's own.
    pub code_line: Option<u32>,
}
