//! Names of owners and groups on this machine, each asked for once (`getpwuid`, `getgrgid`, so that
//! directories on the network count too).

use std::collections::HashMap;

/// Names by number; `None` where there is none, or none in UTF-8.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    users: HashMap<u32, Option<String>>,
    groups: HashMap<u32, Option<String>>,
}

impl Owners {
    pub(crate) fn user(&mut self, uid: u32) -> Option<String> {
        let asked =
            || uzers::get_user_by_uid(uid).and_then(|u| Some(u.name().to_str()?.to_owned()));
        self.users.entry(uid).or_insert_with(asked).clone()
    }

    pub(crate) fn group(&mut self, gid: u32) -> Option<String> {
        let asked =
            || uzers::get_group_by_gid(gid).and_then(|g| Some(g.name().to_str()?.to_owned()));
        self.groups.entry(gid).or_insert_with(asked).clone()
    }
}
