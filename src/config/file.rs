//! The only place of the config that touches the disk.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::compile::Base;
use super::problem::Problems;

/// Largest config file in bytes, several times what 100,000 routes need.
const FILE_SIZE_MAX: u64 = 128 << 20;

impl Base {
    /// Reads and compiles a config file.
    ///
    /// # Errors
    /// When the file cannot be read or something in it is wrong; all problems at once.
    pub(crate) fn load(path: &Path) -> Result<Self, Problems> {
        let name = path.display().to_string();
        let text = read(path, &name)?;
        Self::parse(&name, &text)
    }
}

fn read(path: &Path, name: &str) -> Result<String, Problems> {
    let wrong = |code, message, hint| Err(Problems::of_file(name, code, message, hint));
    let mut bytes = Vec::new();
    let outcome =
        File::open(path).and_then(|file| file.take(FILE_SIZE_MAX + 1).read_to_end(&mut bytes));
    if let Err(error) = outcome {
        let hint = match error.kind() {
            ErrorKind::NotFound => "check the path; config/minimal.yaml is a file to start from",
            ErrorKind::PermissionDenied => "let the user that runs Pointsman read it",
            ErrorKind::IsADirectory => "name the file, not its directory",
            _ => "nothing was changed; mend the file or its disk and try again",
        };
        return wrong("unreadable", format!("cannot read {name}: {error}"), hint);
    }
    if bytes.len() as u64 > FILE_SIZE_MAX {
        let message = format!("{name} is larger than {} MiB", FILE_SIZE_MAX >> 20);
        return wrong("too-large", message, "is this the right file?");
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let before = error.as_bytes().get(..at).unwrap_or_default();
            let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
            let message = format!(
                "{name} is not UTF-8 text: see byte {} in line {line}",
                at + 1
            );
            wrong("not-utf8", message, "save the file as UTF-8")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(path: &Path) -> String {
        let problems = Base::load(path).expect_err("cannot be loaded");
        let text = problems.to_string();
        assert!(text.contains(&path.display().to_string()), "{text}");
        let first = problems.iter().next().expect("one problem");
        assert!(first.hint.is_some(), "{text}");
        first.code.to_owned()
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_problem_like_any_other() {
        let directory = tempfile::tempdir().expect("directory");
        assert_eq!(code_of(&directory.path().join("none.yaml")), "unreadable");
        assert_eq!(code_of(directory.path()), "unreadable");
        let binary = directory.path().join("binary.yaml");
        std::fs::write(&binary, b"apiVersion: \xff\xfe").expect("write");
        assert_eq!(code_of(&binary), "not-utf8");
    }
}
