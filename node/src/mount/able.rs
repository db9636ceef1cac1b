//! Whether this process can mount, and what to do where it cannot.

use rustix::thread::{CapabilitySet, capabilities};
use std::env;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;

/// The kernel's door to FUSE.
const DEVICE: &str = "/dev/fuse";
/// What mounts for those who may not; the older name is looked for too.
const HELPERS: [&str; 2] = ["fusermount3", "fusermount"];
/// Where it is, beside `PATH`.
const PLACES: [&str; 2] = ["/bin", "/sbin"];

/// Why this process cannot mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoFuse {
    /// The kernel offers no FUSE here.
    #[error(
        "there is no /dev/fuse here, so nothing can be mounted: load the kernel's module with `modprobe fuse`, or give a container the device (`--device /dev/fuse --cap-add SYS_ADMIN`); `larder restore` needs none of it"
    )]
    NoDevice,
    /// The device may not be opened.
    #[error(
        "/dev/fuse may not be opened by the user that runs the node: `chmod 666 /dev/fuse` is what systems have, or in a container allow the device (`--device /dev/fuse`)"
    )]
    Closed,
    /// It takes a helper, and there is none.
    #[error(
        "mounting takes root or fusermount3, and neither is here: install it with `apt install fuse3` (or `dnf install fuse3`, `apk add fuse3`)"
    )]
    NoHelper,
    /// It looked as if it might, and was refused.
    #[error(
        "the kernel does not let the node mount, and there is no fusermount3: install it with `apt install fuse3`, or start a container with `--cap-add SYS_ADMIN --device /dev/fuse`"
    )]
    NotAllowed,
}

/// What there is on this machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Whether the device opens.
    device: Result<(), io::ErrorKind>,
    /// Whether the process may call `mount` itself.
    privileged: bool,
    /// Whether there is a helper.
    helper: bool,
}

/// Looks at this machine.
pub(super) fn look() -> Seen {
    let opened = OpenOptions::new().read(true).write(true).open(DEVICE);
    let capable = capabilities(None).map(|sets| sets.effective);
    Seen {
        device: opened.map(drop).map_err(|e| e.kind()),
        privileged: capable.is_ok_and(|all| all.contains(CapabilitySet::SYS_ADMIN)),
        helper: has_helper(),
    }
}

fn has_helper() -> bool {
    if env::var_os("FUSERMOUNT_PATH").is_some_and(|path| Path::new(&path).is_file()) {
        return true;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&path).chain(PLACES.map(Into::into));
    folders.any(|folder| HELPERS.iter().any(|name| folder.join(name).is_file()))
}

/// Whether that is enough.
pub(super) fn judge(seen: Seen) -> Result<(), NoFuse> {
    match (seen.device, seen.privileged, seen.helper) {
        // ENXIO and ENODEV, of a device without its module, are of no kind that has a name.
        (Err(io::ErrorKind::PermissionDenied), _, _) => Err(NoFuse::Closed),
        (Err(_), _, _) => Err(NoFuse::NoDevice),
        (Ok(()), false, false) => Err(NoFuse::NoHelper),
        (Ok(()), true, _) | (Ok(()), false, true) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_the_device_and_root_or_the_helper() {
        use io::ErrorKind::{NotFound, Other, PermissionDenied};
        for (device, privileged, helper, want) in [
            (Ok(()), true, true, Ok(())),
            (Ok(()), true, false, Ok(())),
            (Ok(()), false, true, Ok(())),
            (Ok(()), false, false, Err(NoFuse::NoHelper)),
            (Err(NotFound), true, true, Err(NoFuse::NoDevice)),
            (Err(Other), true, true, Err(NoFuse::NoDevice)),
            (Err(PermissionDenied), true, true, Err(NoFuse::Closed)),
        ] {
            let seen = Seen {
                device,
                privileged,
                helper,
            };
            assert_eq!(judge(seen), want, "{seen:?}");
        }
    }

    #[test]
    fn each_reason_says_what_to_do() {
        for (why, mend) in [
            (NoFuse::NoDevice, "modprobe fuse"),
            (NoFuse::Closed, "--device /dev/fuse"),
            (NoFuse::NoHelper, "apt install fuse3"),
            (NoFuse::NotAllowed, "apt install fuse3"),
        ] {
            assert!(why.to_string().contains(mend), "{why}");
        }
    }
}
