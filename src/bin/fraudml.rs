//! The command line tool; see [`fraudml::cli`].

fn main() -> std::process::ExitCode {
    fraudml::cli::main()
}
