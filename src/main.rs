//! The `jifen` command: everything is in the library.

fn main() -> std::process::ExitCode {
    jifen::cli::main()
}
