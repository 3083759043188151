//! Memory of a process, from /proc. Elsewhere than on Linux it is not known.

/// Resident memory in bytes; 0 for no process, one that is gone, or where the system does not tell.
pub(crate) fn resident_bytes(process_id: u32) -> u64 {
    if process_id == 0 {
        return 0;
    }
    let Ok(statm) = std::fs::read_to_string(format!("/proc/{process_id}/statm")) else { return 0 };
    let pages: u64 = statm.split_ascii_whitespace().nth(1).and_then(|field| field.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
