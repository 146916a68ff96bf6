//! Writes the vectors of `testing::vectors` into `seeds/<target>`, for the fuzzer to start from.
//!
//! They are not kept as files: the tables are where they are read and changed.

use std::path::Path;
use std::{fs, io};

use pointsman::testing::{fuzz::TARGETS, vectors};

fn main() -> io::Result<()> {
    for (target, _) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
        fs::create_dir_all(&folder)?;
        for (at, seed) in vectors::seeds(target).iter().enumerate() {
            fs::write(folder.join(format!("{at:03}")), seed)?;
        }
    }
    Ok(())
}
