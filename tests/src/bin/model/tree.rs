//! What a run of sudo started, as a page of rules: what each process can still do, and whether it can be told from what other runs started.

/// A process of a run: which run, and the how manieth that was noted of it. The first is the run's own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct At {
    pub run: usize,
    pub process: usize,
}

/// How a process starts another.
#[derive(Clone, Copy, Debug)]
pub struct Branch {
    /// It leaves its parent.
    pub orphan: bool,
    /// It has a session of its own.
    pub session: bool,
    /// It leaves the run's control group.
    pub leaves: bool,
    pub becomes: Option<Becomes>,
}

/// It becomes the user who logged in, wholly or with something kept aside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Becomes {
    User,
    ButForAnId,
    ButForAGroup,
    ButForCapabilities,
}

/// What a process may do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rights {
    Root,
    /// Those of the user who logged in.
    User,
    /// Others, with which it can't change what it is.
    Other,
}

#[derive(Clone, Debug)]
pub struct Process {
    rights: Rights,
    /// It is not in the control group of its run.
    left: bool,
    /// Nothing leads from it to the first process of its run.
    stray: bool,
    /// It may have been ended with another run: what has left its group and its parents can't be told from what another run left.
    pub unsure: bool,
}

impl Process {
    pub fn first(root: bool) -> Self {
        Self { rights: if root { Rights::Root } else { Rights::Other }, left: false, stray: false, unsure: false }
    }

    /// What has left its group and is wholly the user's is what they could have started without sudo: that is never asked for.
    pub fn may_grow(&self, branch: Branch) -> bool {
        let changes = branch.leaves || branch.becomes.is_some();
        let escapes = (self.left || branch.leaves) && branch.becomes == Some(Becomes::User);
        !self.unsure && (self.rights == Rights::Root || !changes) && !escapes
    }

    /// It has the user run sudo.
    pub fn may_nest(&self) -> bool {
        !self.unsure && matches!(self.rights, Rights::Root | Rights::User)
    }

    /// It is root, and its run's control group does not take it along.
    pub fn is_at_large(&self) -> bool {
        !self.unsure && self.rights == Rights::Root && self.left
    }

    /// Nothing but what it kept aside tells that it came from a run.
    pub fn is_known_by_its_rights(&self) -> bool {
        self.rights == Rights::Other && self.left && self.stray
    }

    /// `grouped`: the run's control group tells what is its own.
    pub fn grow(&self, branch: Branch, grouped: bool) -> Self {
        let rights = match branch.becomes {
            None => self.rights,
            Some(Becomes::User) => Rights::User,
            Some(_) => Rights::Other,
        };
        let left = self.left || branch.leaves || !grouped;
        Self { rights, left, stray: self.stray || branch.orphan || !grouped, unsure: false }
    }

    /// The run's first process has ended.
    pub fn lose_the_first(&mut self) {
        self.stray = true;
    }

    /// Another run of the login ends, or may.
    pub fn be_looked_for(&mut self) {
        self.unsure |= self.left && self.stray;
    }
}
