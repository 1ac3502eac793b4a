//! write_back
