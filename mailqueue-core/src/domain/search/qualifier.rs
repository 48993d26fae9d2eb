//! The words that stand before a colon in a search.

/// The qualifiers, in the order in which help shows them.
pub const QUALIFIERS: [&str; 10] =
    ["to", "from", "subject", "status", "tag", "lane", "id", "before", "after", "reason"];
