//! A namespace of templates, and their rendering: strict, escaped, bounded.
