//! Start-up only: arguments, logging, exit code.

fn main() -> std::process::ExitCode {
    tandem::cli::main()
}
