//! A wall clock of a server's own, to be set: a small library that comes between the server and `clock_gettime`, made with
//! the C compiler that every Rust tool chain links with. The monotonic clock goes on as it does on a real machine.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::PathBuf,
};

use claude_comms_tests::{Ran, world::World};

const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile const long *offset;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("CLOCK_OFFSET_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *page = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) offset = page;
}

int clock_gettime(clockid_t id, struct timespec *time) {
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, time);
    if (result == 0 && offset && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) time->tv_sec += *offset;
    return result;
}
"#;

/// The clock.
#[derive(Debug)]
pub(super) struct Clock {
    offset: File,
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// Makes it, in a test's world.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub(super) async fn new(world: &World) -> Result<Self, String> {
        let [file, source, library] =
            ["clock.offset", "clock.c", "clock.so"].map(|name| world.root().join(name));
        fs::write(&file, 0_i64.to_ne_bytes()).unwrap();
        fs::write(&source, SOURCE).unwrap();
        let compiler = PathBuf::from("/usr/bin/cc");
        if !compiler.exists() {
            return Err("there is no C compiler".to_owned());
        }
        let mut compile = world.command(&compiler);
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).arg("-ldl");
        let ran = Ran::to_end(compile).await;
        if ran.code != Some(0) {
            return Err(ran.stderr);
        }
        let offset = File::options().write(true).open(&file).unwrap();
        Ok(Self { offset, file, library })
    }

    /// What the server's environment needs.
    pub(super) fn environment(&self) -> [(&'static str, String); 2] {
        [
            ("LD_PRELOAD", self.library.to_string_lossy().into_owned()),
            ("CLOCK_OFFSET_FILE", self.file.to_string_lossy().into_owned()),
        ]
    }

    /// From now on it shows so many seconds more than the real one.
    pub(super) fn set(&self, seconds: i64) {
        self.offset.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }
}
