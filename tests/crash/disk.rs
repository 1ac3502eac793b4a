//! A file system of its own on a loop device, whose power can be cut: what was not synced is gone.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// ext4's ioctl to shut down, and its flag for "do not flush the journal": as if the power went.
const CUT: &str = "import fcntl,os,struct,sys; disk=os.open(sys.argv[1],os.O_RDONLY); sys.stdin.read(); fcntl.ioctl(disk,0x8004587D,struct.pack('I',2))";

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|e| format!("{program}: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(format!("{program} {arguments:?}: {}", text(&output.stderr))) }
}

/// The disk; unmounted and detached when dropped, also by a panic.
pub struct Disk {
    device: String,
    pub mount: PathBuf,
    mounted: bool,
}

impl Disk {
    /// Makes an image of 512 MiB in `folder` and mounts it. `Err`: this machine cannot.
    pub fn new(folder: &Path) -> Result<Disk, String> {
        let (image, mount) = (folder.join("disk.img"), folder.join("disk"));
        std::fs::create_dir(&mount).map_err(|e| e.to_string())?;
        std::fs::File::create(&image).and_then(|file| file.set_len(512 << 20)).map_err(|e| e.to_string())?;
        let image = image.to_string_lossy();
        run("/sbin/mkfs.ext4", &["-q", "-F", &image])?;
        let device = run("/sbin/losetup", &["-f", "--show", &image])?;
        let mut disk = Disk { device, mount, mounted: false };
        disk.attach()?;
        Ok(disk)
    }

    /// Mounts it; the journal is replayed.
    pub fn attach(&mut self) -> Result<(), String> {
        run("/bin/mount", &["-t", "ext4", &self.device, &self.mount.to_string_lossy()])?;
        self.mounted = true;
        Ok(())
    }

    /// Gets ready to cut, so that the cut itself takes no time.
    pub fn knife(&self) -> Knife {
        let mut command = Command::new("python3");
        Knife(command.arg("-c").arg(CUT).arg(&self.mount).stdin(Stdio::piped()).spawn().unwrap())
    }

    pub fn detach(&mut self) {
        // The process that used it has just ended: its files may be open a moment longer.
        let mut last = String::new();
        for _ in 0..100 {
            match run("/bin/umount", &[&self.mount.to_string_lossy()]) {
                Ok(_) => {
                    self.mounted = false;
                    return;
                }
                Err(why) => last = why,
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("{last}");
    }
}

/// Cuts the power when told.
pub struct Knife(Child);

impl Knife {
    /// The power goes.
    pub fn cut(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success(), "the disk could not be cut off");
    }
}

impl Drop for Knife {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = run("/bin/umount", &["-l", &self.mount.to_string_lossy()]);
        }
        let _ = run("/sbin/losetup", &["-d", &self.device]);
    }
}
