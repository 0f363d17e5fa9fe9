//! Who gives a command: the operating system's user.

use std::os::unix::fs::MetadataExt;

/// The user's name. Of somebody who became another by `sudo`, their own.
pub fn operator() -> String {
    let set = |name: &str| std::env::var(name).ok().filter(|name| !name.is_empty());
    let user = || {
        let user = std::fs::metadata("/proc/self").ok()?.uid();
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        Some(name_of(&users, user).unwrap_or_else(|| format!("user {user}")))
    };
    set("SUDO_USER").or_else(user).or_else(|| set("USER")).unwrap_or_default()
}

/// The name of a user in a list like `/etc/passwd`.
fn name_of(users: &str, user: u32) -> Option<String> {
    let found = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user)).then(|| name.to_owned())
    });
    found.filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_name_that_the_system_gives_it() {
        let users =
            "root:x:0:0:root:/root:/bin/bash\n\nann:x:1000:1000:Ann,,,:/home/ann:/bin/sh\n:x:7:7::/:\n";
        assert_eq!(name_of(users, 0).as_deref(), Some("root"));
        assert_eq!(name_of(users, 1000).as_deref(), Some("ann"));
        assert_eq!((name_of(users, 7), name_of(users, 8)), (None, None));
        assert!(!operator().is_empty());
    }
}
