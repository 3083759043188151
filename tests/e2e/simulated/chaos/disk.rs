//! A small disk of a server's own, to be filled: a tmpfs, which only root may mount.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use claude_comms_tests::{Ran, spawn};

/// A mounted disk. Unmounted when dropped, also while a server still has files open on it.
#[derive(Debug)]
pub(super) struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Makes the directory a disk of this size.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) async fn mount(at: &Path, mebibytes: usize) -> Result<Self, String> {
        fs::create_dir_all(at).unwrap();
        let mut mount = spawn::command("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m,mode=0700"), "cc-test"]).arg(at);
        let ran = Ran::to_end(mount).await;
        if ran.code == Some(0) { Ok(Self { at: at.to_owned() }) } else { Err(ran.stderr.trim().to_owned()) }
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }

    /// Leaves no byte free.
    pub(super) fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        for block in [1 << 20, 4 << 10] {
            while file.write_all(&vec![1; block]).is_ok() {}
        }
    }

    /// Makes room again.
    pub(super) fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut umount = spawn::command("umount");
        umount.arg("--lazy").arg(&self.at);
        // What cannot be unmounted is seen by whoever removes the directory.
        let _ = umount.as_std_mut().status();
    }
}
