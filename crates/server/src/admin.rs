//! The admin token: who has it may see other people's connections.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use store::TokenHash;

/// The file in the data folder.
const FILE: &str = "admin.token";

/// Knows the admin token when it is shown; does not hold it.
pub(crate) struct AdminToken(TokenHash);

impl AdminToken {
    /// Reads the token's file, or makes it at the first start, for its owner alone (mode 0600).
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = Self::path(folder);
        let read = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(&path),
            read => read,
        };
        let token =
            read.with_context(|| format!("cannot use the admin token {}", path.display()))?;
        let token = token.lines().next().unwrap_or_default().trim();
        anyhow::ensure!(
            token.len() >= 16,
            "the admin token in {} is too short to be safe; delete the file to have a new one made",
            path.display()
        );
        Ok(Self(TokenHash::of(token)))
    }

    /// Where the token is.
    pub(crate) fn path(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    /// Whether this is it. Hashes are compared, so the time that takes tells nothing of the token.
    pub(crate) fn is(&self, token: &TokenHash) -> bool {
        self.0 == *token
    }
}

/// Makes the token beside its place and moves it there, so that the file is never there by half.
fn create(path: &Path) -> io::Result<String> {
    let [high, low] = random_bits()?;
    let token = format!("{high:032x}{low:032x}");
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(format!("{token}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    // Someone may copy the token now: it must be the same after a power cut.
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(token)
}

/// 256 random bits, which make a token that nobody guesses.
pub(crate) fn random_bits() -> io::Result<[u128; 2]> {
    let mut bits = [[0; 16]; 2];
    getrandom::fill(bits.as_flattened_mut()).map_err(io::Error::other)?;
    Ok(bits.map(u128::from_ne_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let admin = AdminToken::open(folder.path()).unwrap();
        let path = AdminToken::path(folder.path());
        let token = fs::read_to_string(&path).unwrap();
        assert!(admin.is(&TokenHash::of(token.trim())));
        assert!(!admin.is(&TokenHash::of("another token")));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        AdminToken::open(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), token);
    }

    #[test]
    fn a_token_that_can_be_guessed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(AdminToken::path(folder.path()), "admin\n").unwrap();
        let error = AdminToken::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("too short"), "{error}");
    }
}
