//! Template files: front matter (version, parameters) and a minijinja body. Rendering is the server's.
