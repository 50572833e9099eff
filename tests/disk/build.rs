//! Compiles the part that is loaded into the program under test.

use std::{
    env,
    path::Path,
    process::{Command, ExitCode},
};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=src/disk.c");
    let shim = Path::new(&env::var_os("OUT_DIR").unwrap_or_default()).join("disk.so");
    println!("cargo::rustc-env=DISK_SHIM={}", shim.display());
    if env::var_os("CARGO_CFG_TARGET_OS").is_none_or(|os| os != "linux") {
        return ExitCode::SUCCESS;
    }
    let compiled = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-pthread"])
        .args(["src/disk.c", "-o"])
        .arg(&shim)
        .status();
    match compiled {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        failed => {
            eprintln!("the C compiler did not make {}: {failed:?}", shim.display());
            ExitCode::FAILURE
        }
    }
}
