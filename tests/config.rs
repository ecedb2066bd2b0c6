//! Recorded texts: what a wrong configuration says, and what imported text becomes. To record them anew after
//! a change that is meant: `TANDEM_REWRITE=1 cargo test --test config`, then read the difference.

use std::fs;
use std::path::{Path, PathBuf};

use tandem::config::{Config, import::import};

fn inputs(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

/// Compares with the recording beside the input, or records.
fn check(input: &Path, extension: &str, output: &str) -> Result<(), String> {
    let recording = input.with_extension(extension);
    if std::env::var_os("TANDEM_REWRITE").is_some() {
        fs::write(&recording, output).unwrap();
        return Ok(());
    }
    let recorded = fs::read_to_string(&recording).unwrap_or_default();
    if recorded == output {
        return Ok(());
    }
    Err(format!("{} differs; recorded:\n{recorded}\nnow:\n{output}", recording.display()))
}

fn name_of(file: &Path) -> &str {
    file.file_name().and_then(|name| name.to_str()).unwrap()
}

fn check_all(files: &[PathBuf], at_least: usize, one: impl Fn(&Path, &str) -> Result<(), String>) {
    assert!(files.len() >= at_least, "only {} inputs", files.len());
    let failures: Vec<_> =
        files.iter().filter_map(|file| one(file, &fs::read_to_string(file).unwrap()).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_mistake_is_underlined_where_it_stands() {
    check_all(&inputs("tests/config", "toml"), 20, |file, text| match Config::parse(text, name_of(file)) {
        Err(error) => {
            assert!(!error.faults.is_empty());
            assert!(error.faults.iter().all(|fault| fault.line > 0 && fault.column > 0));
            assert!(!error.to_string().contains("s3cret"), "{error}");
            check(file, "err", &format!("{error}\n"))
        }
        Ok(_) => Err(format!("{} passes as valid", file.display())),
    });
}

#[test]
fn session_smart_router_text_becomes_toml_that_passes_the_check() {
    check_all(&inputs("tests/config/import", "txt"), 5, |file, text| {
        let imported = import(text, name_of(file), None).map_err(|error| error.to_string())?;
        Config::parse(&imported.toml, "imported").map_err(|error| format!("{}\n{error}", imported.toml))?;
        let comments =
            imported.toml.lines().filter(|line| line.starts_with("# ") && !line.starts_with("#  ")).count();
        assert_eq!(comments, imported.warnings.len(), "a warning without comment in {}", imported.toml);
        check(file, "toml", &imported.toml)
    });
}

#[test]
fn text_that_cannot_be_imported_is_underlined() {
    check_all(&inputs("tests/config/import", "bad"), 1, |file, text| {
        match import(text, name_of(file), None) {
            Err(error) => check(file, "err", &format!("{error}\n")),
            Ok(imported) => Err(format!("{} passes: {}", file.display(), imported.toml)),
        }
    });
}

/// The same two modems in every way in which the text may be written.
#[test]
fn layout_does_not_change_the_meaning() {
    let read = |file: &str| {
        let path = format!("{}/tests/config/import/{file}", env!("CARGO_MANIFEST_DIR"));
        import(&fs::read_to_string(path).unwrap(), file, Some("kiosk-7")).unwrap().toml
    };
    let flat = read("two-modems-flat.txt");
    for other in [
        "two-modems-indented.txt",
        "two-modems-exit.txt",
        "two-modems-paths.txt",
        "two-modems-stray-spaces.txt",
    ] {
        assert_eq!(read(other), flat, "{other}");
    }
    let config = Config::parse(&flat, "imported").unwrap();
    assert_eq!(config.warnings, []);
    let metrics: Vec<_> = config.config.lte_interfaces().map(|device| device.handover_metric()).collect();
    assert_eq!(metrics, [Some(310), Some(520)]);
    let passwords: Vec<_> = config
        .config
        .lte_interfaces()
        .filter_map(|device| device.lte.as_ref()?.authentication.as_ref()?.password.as_ref())
        .map(|password| password.reveal().to_owned())
        .collect();
    assert_eq!(passwords, ["pass one", "p\"2"]);
}
